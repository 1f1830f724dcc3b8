"""The engine of byte counts keeps every promise of the seam."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tests.text_models import CORPUS

from hekla.base.errors import ConfigError, InputError, ModelFileError
from hekla.engines.ngram.chat import CallParser
from hekla.engines.ngram.engine import NgramEngine, NgramOptions
from hekla.engines.ngram.instance import instance
from hekla.engines.ngram.loader import load
from hekla.protocols.text_engine import RequestId, Sampling, TextEngineSource, TextRequest
from hekla.testing.check_text_engine import check_text_engine

PROMPT = "Greetings to all who read this, "
CALL = '<tool_call>{"name": "add", "arguments": {"a": [1, "}"], "b": {}}}</tool_call>'


def made(**options: int) -> NgramEngine:
    """Return an engine."""
    return NgramEngine("words", CORPUS.encode(), NgramOptions(**options))  # type: ignore[arg-type]  # whole numbers only


@pytest.mark.parametrize("options", [{}, {"page_tokens": 4, "pages": 512}, {"prefill_tokens": 3}])
def test_the_engine_keeps_the_seams_promises(options: dict[str, int]) -> None:
    check_text_engine(lambda: made(**options), PROMPT)


def test_requests_that_do_not_fit_together_take_turns() -> None:
    engine = made(pages=16, page_tokens=4, running=4, context=60)
    for number in range(4):
        engine.submit(TextRequest(RequestId(number), tuple(b"The q"), 40, Sampling(temperature=0), ignore_end=True))
    texts: dict[int, str] = {}
    while engine.has_work:
        for event in engine.step():
            texts[event.request_id] = texts.get(event.request_id, "") + event.text
        engine.tidy()
    assert engine.status().preemptions > 0
    assert len(set(texts.values())) == 1, "taken out or not, the answer is the same"
    assert engine.status().free_pages == 16


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_calls_are_told_from_text_however_they_come(size: int) -> None:
    text = f"Well < {CALL}, and {CALL}."
    parser = CallParser(True)
    pieces = [piece for at in range(0, len(text), size) for piece in parser.feed(text[at : at + size])]
    pieces += parser.feed("", is_end=True)
    assert "".join(piece.text for piece in pieces) == "Well < , and ."
    for index in range(2):
        calls = [call for piece in pieces for call in piece.tool_calls if call.index == index]
        assert [call.name for call in calls if call.name] == ["add"]
        assert json.loads("".join(call.arguments for call in calls)) == {"a": [1, "}"], "b": {}}


@pytest.mark.parametrize("text", ["<tool_call>nonsense", "<tool_call>{}</tool_call>", "<tool", "a < b"])
def test_no_text_a_model_writes_is_lost(text: str) -> None:
    parser = CallParser(True)
    pieces = [*parser.feed(text), *parser.feed("", is_end=True)]
    assert "".join(piece.text for piece in pieces) == text


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}}}, {"a": 1, "b": "x"}),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"anyOf": [{"enum": []}, {"const": 5}]}, 5),
        ({"$defs": {"t": {"type": "string", "minLength": 3}}, "$ref": "#/$defs/t"}, "aaa"),
        ({"type": ["null", "string"]}, None),
        ({"type": "number", "minimum": 7.5}, 7.5),
    ],
)
def test_the_simplest_instance_fits_its_schema(schema: dict[str, Any], wanted: object) -> None:  # Any: JSON
    assert instance(schema) == wanted


@pytest.mark.parametrize(
    "schema",
    [{"enum": []}, False, {"$ref": "#"}, {"$ref": "#/nowhere"}, {"type": "strnig"}, {"properties": {"a": False}}],
)
def test_a_schema_that_nothing_fits_is_refused(schema: object) -> None:
    with pytest.raises(InputError):
        instance(schema)


def test_the_guide_shows_every_option_with_its_default() -> None:
    page = (
        (Path(__file__).parents[2] / "docs/guide/engines.md").read_text().split("## `ngram`", 1)[1].split("\n## ", 1)[0]
    )
    shown: dict[str, str] = {}
    for row in page.splitlines():
        if row.startswith("| `"):
            names, values = row.split(" | ")[:2]
            shown.update(zip(names.strip("| ").split(", "), values.split(", "), strict=True))
    defaults = {field.name: field.default for field in dataclasses.fields(NgramOptions)}
    assert shown == {f"`{name}`": f"`{json.dumps(default)}`" for name, default in defaults.items()}


def source(folder: Path, **options: object) -> TextEngineSource:
    """Return what a model.toml with these options asks for."""
    return TextEngineSource("words", 1, folder, options, where="model.toml: [engine]")


def test_the_loader_reads_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(CORPUS)
    engine = load(source(tmp_path, order=3, context=64))
    assert (engine.info.family, engine.info.context_tokens) == ("ngram", 64)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, ModelFileError, "cannot be read"),
        ({"ordre": 3}, ConfigError, r"\[engine\].ordre: unknown key; did you mean 'order'"),
        ({"order": 0}, ConfigError, "1 or more"),
        ({"order": True}, ConfigError, "whole number"),
        ({"corpus": 5}, ConfigError, "name of a file"),
        ({"corpus": "../other"}, ConfigError, "leads out"),
    ],
)
def test_what_the_loader_refuses(
    tmp_path: Path, options: dict[str, object], kind: type[ConfigError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        load(source(tmp_path, **options))
