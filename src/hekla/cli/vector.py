"""`hekla vector`: collections in folders, without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.cli import vector_bench, vector_import, vector_search
from hekla.cli.screen import AsJson, console, write_json, write_table
from hekla.cli.vector_open import Folder, reading, writing

if TYPE_CHECKING:
    from hekla.vector import Collection, CollectionSchema

vector_app = typer.Typer(
    help="Vector collections in folders: make, fill, search, check.", no_args_is_help=True, rich_markup_mode="markdown"
)
vector_app.command("import")(vector_import.import_files)
vector_app.command("search")(vector_search.search)
vector_app.command("bench")(vector_bench.bench)


@vector_app.command()
def create(
    folder: Folder,
    dimension: Annotated[int, typer.Option("--dimension", "-d", help="Of the vectors; 0: none, words only.")] = 384,
    metric: Annotated[str, typer.Option("--metric", help="cosine, dot, l2 or manhattan.")] = "cosine",
    dtype: Annotated[str, typer.Option("--dtype", help="f32, f16, i8 or binary.")] = "f32",
    field: Annotated[
        list[str], typer.Option("--field", "-f", help="A payload index: PATH=KIND, or PATH=text:LANGUAGE.")
    ] = [],  # noqa: B006  # typer's way to say: none
    sparse: Annotated[list[str], typer.Option("--sparse", help="A sparse vector's name.")] = [],  # noqa: B006  # none
    sync: Annotated[str, typer.Option("--sync", help="When a write counts: always, interval or off.")] = "always",
    schema: Annotated[
        Path | None, typer.Option("--schema", help="All of it as JSON, as `hekla vector info --json` shows it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a collection in a new folder.

    Example: `hekla vector create notes --dimension 384 --field text=text:english --field year=integer`
    """
    from hekla.vector import Collection

    wanted = _schema_in(schema) if schema else _schema(dimension, metric, dtype, field, sparse, sync)
    Collection.create(folder, wanted, has_upkeep=False).close()
    if as_json:
        write_json({"folder": str(folder), "schema": _schema_document(wanted)})
    else:
        console().print(f"{folder}: made", markup=False)


@vector_app.command()
def info(folder: Folder, as_json: AsJson = False) -> None:
    """Show what a collection holds and how it stands. Works beside a process that writes.

    Example: `hekla vector info notes`
    """
    with reading(folder) as collection:
        document = _described(collection)
    if as_json:
        write_json(document)
        return
    out = console()
    schema = document["schema"]
    assert isinstance(schema, dict)
    out.print(f"{folder}: {document['points']} points, {_mebibytes(document['bytes'])}", markup=False)
    for name, vector in schema["vectors"].items():
        kind = f"{vector['dimension']} x {vector['dtype']}, {vector['metric']}" + (", several" * vector["is_multi"])
        out.print(f"vector {name or '(unnamed)'}: {kind}", markup=False)
    for name in schema["sparse"]:
        out.print(f"sparse vector {name}", markup=False)
    for path, one in schema["fields"].items():
        language = f", {one['language']}" if one["language"] else ""
        out.print(f"index {path}: {one['kind']}{language}", markup=False)
    rows = [
        (str(s["number"]), str(s["rows"]), str(s["live"]), _mebibytes(s["bytes"]), "yes" if s["has_graph"] else "no")
        for s in document["segments"]  # type: ignore[attr-defined]  # it is a list of objects, made below
    ]
    if rows:
        write_table(("segment ", "rows ", "live ", "size ", "graph"), rows)
    out.print(f"{document['tail_rows']} points in the log alone", markup=False)
    for told in document["damaged"]:  # type: ignore[attr-defined]  # it is a list of texts
        out.print(f"damaged: {told}", markup=False)


@vector_app.command()
def snapshot(
    folder: Folder,
    target: Annotated[Path, typer.Argument(metavar="NEW_FOLDER", help="Where the copy goes, on the same disk.")],
    as_json: AsJson = False,
) -> None:
    """Copy a collection as of now by hard links; the copy is a collection like any other.

    Example: `hekla vector snapshot notes notes-monday`
    """
    with writing(folder, has_upkeep=False) as collection:
        collection.snapshot(target)
        points = len(collection)
    if as_json:
        write_json({"folder": str(folder), "snapshot": str(target), "points": points})
    else:
        console().print(f"{target}: {points} points", markup=False)


@vector_app.command()
def verify(folder: Folder, as_json: AsJson = False) -> None:
    """Read every byte of a collection and compare checksums; status 1 where something is damaged.

    Example: `hekla vector verify notes`
    """
    with reading(folder) as collection:
        damaged = list(dict.fromkeys((*collection.status().damaged, *collection.verify())))
        points = len(collection)
    if as_json:
        write_json({"folder": str(folder), "points": points, "damaged": damaged})
    else:
        for told in damaged:
            console().print(f"damaged: {told}", markup=False)
        console().print(f"{folder}: {points} points, {len(damaged) or 'nothing'} damaged", markup=False)
    if damaged:
        raise typer.Exit(1)


def _schema(
    dimension: int, metric: str, dtype: str, fields: list[str], sparse: list[str], sync: str
) -> "CollectionSchema":
    from hekla.base.errors import ConfigError
    from hekla.vector import CollectionSchema, FieldSchema, SparseSchema, TextOptions, VectorSchema

    indexes = {}
    for given in fields:
        path, is_pair, what = given.rpartition("=")
        kind, _, language = what.partition(":")
        if not is_pair or (language and kind != "text"):
            raise ConfigError(f"{given!r} is not PATH=KIND", where="--field", cure="write it like text=text:english")
        indexes[path] = FieldSchema(kind, TextOptions(language))  # type: ignore[arg-type]  # the schema checks it
    vectors = {"": VectorSchema(dimension, metric, dtype)} if dimension else {}  # type: ignore[arg-type]  # likewise
    named = {name: SparseSchema() for name in sparse}
    return CollectionSchema(vectors, named, indexes, sync)  # type: ignore[arg-type]  # likewise


def _schema_in(path: Path) -> "CollectionSchema":
    import orjson

    from hekla.base.errors import ConfigError, NotFoundError
    from hekla.vector.schema import schema_from_json

    try:
        document = orjson.loads(path.read_bytes())
        return schema_from_json(document.get("schema", document))
    except OSError as error:
        raise NotFoundError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        cure = "take one from `hekla vector info FOLDER --json` and change it"
        raise ConfigError(f"is no schema: {error}", where=str(path), cure=cure) from error


def _schema_document(schema: "CollectionSchema") -> dict[str, object]:
    from hekla.vector.schema import schema_to_json

    return schema_to_json(schema)


def _described(collection: "Collection") -> dict[str, object]:
    from dataclasses import asdict

    status = collection.status()
    return {
        "folder": str(collection.folder),
        "points": status.points,
        "tail_rows": status.tail_rows,
        "bytes": sum(path.stat().st_size for path in collection.folder.iterdir() if path.is_file()),
        "segments": [asdict(segment) for segment in status.segments],
        "damaged": list(status.damaged),
        "schema": _schema_document(collection.schema),
    }


def _mebibytes(size: object) -> str:
    assert isinstance(size, int)
    return f"{size / 2**20:.1f} MiB"
