"""`hekla vector search`: by words, by meaning, by a vector or by a point, filtered."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hekla.base.errors import ConfigError, InputError
from hekla.cli.options import DEFAULT_URL, Url
from hekla.cli.screen import AsJson, console, write_json, write_table
from hekla.cli.vector_import import Model
from hekla.cli.vector_open import Folder, reading

if TYPE_CHECKING:
    from hekla.vector import CollectionSchema, Filter, PointId, Search

_CANDIDATES = 50  # of each way, for each point wanted and at least: what fusion chooses from
_WHERE = re.compile(r"(?P<path>[^=<>!~]+?)\s*(?P<sign>!=|>=|<=|=|>|<|~)\s*(?P<value>.*)", re.DOTALL)
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def search(
    folder: Folder,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to look for, in words.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many points.")] = 10,
    where: Annotated[
        list[str],
        typer.Option("--where", "-w", help="PATH=VALUE, !=, <, <=, >, >=, or PATH~WORDS. All of them must hold."),
    ] = [],  # noqa: B006  # typer's way to say: none
    vector: Annotated[str, typer.Option("--vector", help="A vector as JSON, instead of a text.")] = "",
    like: Annotated[str, typer.Option("--like", help="The id of a point, to find others like it.")] = "",
    using: Annotated[str, typer.Option("--using", help="The vector's name, where there are several.")] = "",
    words: Annotated[bool, typer.Option("--words", help="By words alone: no server is asked.")] = False,
    meaning: Annotated[bool, typer.Option("--meaning", help="By meaning alone.")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every vector.")] = False,
    ef: Annotated[
        int | None, typer.Option("--ef", min=1, help="Candidates in the graph: more is slower, better.")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", min=0, metavar="SECONDS", help="After this, the best found so far.")
    ] = None,
    model: Model = "embed",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Search a collection. A text is looked for by words and by meaning, both lists joined (reciprocal ranks).

    Examples: `hekla vector search notes "a cat on a mat"`, `hekla vector search notes --like 7 --where year>=2020`
    """
    from hekla.cli.vector_embed import embedder
    from hekla.vector import Nearest, Search

    if (bool(text) + bool(vector) + bool(like)) != 1:
        raise ConfigError("give a text, or --vector, or --like", where="TEXT", cure="one of the three")
    with reading(folder) as collection:
        chosen = _filter(where)
        if text:
            wanted = _by_text(
                collection.schema, text, limit, using, words, meaning, lambda: embedder(url, model)([text])[0]
            )
        else:
            example = _numbers(vector) if vector else _id(like)
            wanted = Search(Nearest(example, using), limit)
        answer = collection.query(replace(_with(wanted, chosen, exact, ef), deadline_s=deadline))
        found = answer.points
    if not answer.is_complete:
        typer.echo("the time was over: these are the best until then", err=True)
    if as_json:
        write_json([{"id": _shown_id(p.id), "score": p.score, "payload": p.payload} for p in found])
    elif not found:
        console().print("nothing found")
    else:
        rows = [(str(p.id), f"{p.score:.4f}", _short(p.payload)) for p in found]
        write_table(("id ", "score ", "payload"), rows)


def _by_text(
    schema: "CollectionSchema", text: str, limit: int, using: str, words: bool, meaning: bool, embed: Any
) -> "Search":  # Any: () -> a vector
    from hekla.vector import Fusion, Nearest, Search, Words

    paths = [path for path, field in schema.fields.items() if field.kind == "text"]
    ways: list[Search] = []
    candidates = max(_CANDIDATES, limit)
    if not meaning:
        ways += [Search(Words(text, path), candidates) for path in paths]
    if not words and using in schema.vectors:
        ways.append(Search(Nearest(embed(), using), candidates))
    if not ways:
        raise InputError(
            "has no text index and no vector to look for a text by" if not words else "has no text index",
            where="FOLDER",
            cure="create it with `--field text=text:english`, or a dimension",
        )
    if len(ways) == 1:
        return Search(ways[0].query, limit)
    return Search(Fusion(), limit, prefetch=tuple(ways))


def _with(wanted: "Search", chosen: "Filter | None", exact: bool, ef: int | None) -> "Search":
    inner = tuple(replace(each, is_exact=exact, ef=ef) for each in wanted.prefetch)
    return replace(wanted, filter=chosen, is_exact=exact, ef=ef, prefetch=inner)


def _filter(where: Sequence[str]) -> "Filter | None":
    from hekla.vector import Filter, Match, MatchText, Range

    must: list[Any] = []  # Any: conditions of several kinds
    must_not: list[Any] = []
    for given in where:
        match = _WHERE.fullmatch(given.strip())
        if match is None:
            raise ConfigError(f"{given!r} is no condition", where="--where", cure="write it like year>=2020")
        path, sign, value = match["path"], match["sign"], _value(match["value"])
        if sign == "~":
            must.append(MatchText(path, match["value"]))
        elif sign in _BOUNDS:
            must.append(_range(path, _BOUNDS[sign], value))
        elif isinstance(value, float):
            side = Range(path, gte=value, lte=value)
            (must if sign == "=" else must_not).append(side)
        else:
            (must if sign == "=" else must_not).append(Match(path, (value,)))
    return Filter(tuple(must), must_not=tuple(must_not)) if must or must_not else None


def _range(path: str, side: str, value: str | int | float | bool) -> Any:  # Any: a Range
    from hekla.vector import Range
    from hekla.vector.filters import moment

    is_datetime = isinstance(value, str)
    bound = {side: float(moment(value, "--where")) if is_datetime else float(value)}
    return Range(path, bound.get("gt"), bound.get("gte"), bound.get("lt"), bound.get("lte"), is_datetime)


def _value(text: str) -> str | int | float | bool:
    """Return a value as JSON reads it, else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _numbers(text: str) -> list[float]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"is no JSON: {error}", where="--vector", cure="write it like [0.1, 0.2]") from error
    if not isinstance(value, list):
        raise ConfigError("is no list of numbers", where="--vector", cure="write it like [0.1, 0.2]")
    return value


def _id(text: str) -> "PointId":
    from hekla.vector.point import read_id

    return read_id(int(text) if text.isdecimal() else text, "--like")


def _shown_id(value: "PointId") -> int | str:
    return value if isinstance(value, int) else str(value)


def _short(payload: Any) -> str:  # Any: JSON
    text = (
        payload["text"] if isinstance(payload, dict) and isinstance(payload.get("text"), str) else json.dumps(payload)
    )
    return text if len(text) <= 100 else f"{text[:97]}..."
