"""`[engine] kind = "llm"`: from a folder and options to an engine that answers, or to an error that says what to do."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.llm.tiny_engine import GREEDY, answers, request
from tests.llm.tiny_folder import CONFIG, write_tiny_folder

from hekla.base.errors import ConfigError, HeklaError, ModelFileError, NotFoundError, TooLargeError
from hekla.llm.engine import LlmEngine
from hekla.llm.loader import load
from hekla.llm.options import LlmOptions, read_options
from hekla.llm.resources import RunnerSizes, plan_memory
from hekla.protocols.text_engine import Grammar, Sampling, TextEngineSource

Load = Callable[..., LlmEngine]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    write_tiny_folder(tmp_path / "1")

    def load_with(**options: Any) -> LlmEngine:  # Any: values of the options
        given = {"runner": "reference", "kv_type": "f32", **options}
        return load(TextEngineSource("tiny", 1, tmp_path / "1", given, where="tiny/model.toml: [engine]"))

    return load_with


def test_a_folder_becomes_an_engine_that_chats(loaded: Load) -> None:
    engine = loaded(context_tokens=256)
    info = engine.info
    assert (info.name, info.family, info.context_tokens, info.has_chat_template) == ("tiny", "llama", 256, True)
    prompt = engine.render_chat([{"role": "user", "content": "Hello <|im_end|> é"}])
    assert prompt.text.endswith("<|im_start|>assistant\n")
    assert prompt.tokens.count(258) == 1  # what the user wrote did not become a control token
    found = answers(engine, request(1, prompt.tokens, sampling=Sampling(seed=1), max_tokens=20))
    assert found.tokens[1]
    assert engine.decode(engine.encode("größer €")) == "größer €"
    assert engine.token_bytes(engine.encode("a")[0]) == b"a"
    parser = engine.reply_parser()
    assert "".join(piece.text for piece in [*parser.feed("hi"), *parser.feed("", is_end=True)]) == "hi"
    engine.close()


def test_grammars_know_the_vocabulary(loaded: Load) -> None:
    schema = {"type": "object", "properties": {"é": {"enum": [1, 2]}}, "required": ["é"], "additionalProperties": False}
    grammar = Grammar("json_schema", json.dumps(schema))
    found = answers(loaded(), request(1, [256, 65], grammar=grammar, max_tokens=200, sampling=GREEDY))
    assert found.reason[1] == "stop"
    assert found.text[1].replace(" ", "").replace("\n", "") in ('{"é":1}', '{"é":2}')


def test_guesses_come_from_the_text_or_from_a_model_below_the_folder(loaded: Load, tmp_path: Path) -> None:
    asked = request(1, [256, *b"abcabcabcabc"], max_tokens=20, ignore_end=True)
    plain = answers(loaded(), asked).tokens[1]
    assert answers(loaded(draft="lookup"), asked).tokens[1] == plain
    write_tiny_folder(tmp_path / "1/draft")
    assert answers(loaded(draft="draft", draft_tokens=3), asked).tokens[1] == plain
    with pytest.raises(ConfigError, match="leads out"):
        loaded(draft="../other")
    with pytest.raises(TooLargeError, match=r"draft model .* MiB \+ the process itself"):
        loaded(draft="draft", memory_bytes="1MiB")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"context_token": 5}, r"model.toml: \[engine\].context_token: unknown option; did you mean 'context_tokens'"),
        ({"context_tokens": 0}, "from 1 to"),
        ({"context_tokens": True}, "whole number"),
        ({"kv_type": "int4"}, "expected one of f16, int8, f32, got 'int4'"),
        ({"memory_bytes": "lots"}, "1GiB"),
        ({"kv_bytes": -1}, "expected bytes"),
        ({"max_running": 64, "max_step_tokens": 32}, "raise max_step_tokens"),
        ({"adapters": {"a": 1}}, "names with their files"),
        ({"draft": 3}, "lookup"),
        ({"context_tokens": 1000}, "512 tokens, the model's own"),
        ({"kv_bytes": "1KiB"}, "raise kv_bytes, or lower context_tokens to"),
        ({"memory_bytes": "1MiB"}, r"weights .* MiB \+ pages .* MiB \+ scratch .* MiB"),
    ],
)
def test_a_wrong_option_says_what_and_where(loaded: Load, options: dict[str, Any], words: str) -> None:
    with pytest.raises(HeklaError, match=words) as caught:
        loaded(**options)
    assert isinstance(caught.value, ConfigError | TooLargeError)
    assert str(caught.value).startswith("tiny/model.toml: [engine]")


def test_sizes_may_be_written_with_units() -> None:
    options = read_options({"memory_bytes": "1.5GiB", "kv_bytes": "512 MB"}, "")
    assert (options.memory_bytes, options.kv_bytes) == (3 << 29, 512_000_000)
    assert read_options({}, "") == LlmOptions()


SIZES = RunnerSizes(weight_bytes=100 << 20, scratch_bytes=10 << 20, page_bytes=1 << 20, page_tokens=16)


def test_the_plan_keeps_under_the_ceiling() -> None:
    config = replace(CONFIG, context_tokens=4096, vocabulary_tokens=0)
    for usable in (600 << 20, 1 << 30, 64 << 30):
        plan = plan_memory(config, LlmOptions(), SIZES, usable, "")
        assert plan.context_tokens == 4096
        assert plan.pages >= 4096 / 16
        assert plan.needed_bytes + plan.left_bytes == usable
        assert plan.needed_bytes == (100 + 10 + 128 + plan.pages) << 20
    with pytest.raises(TooLargeError, match="lower context_tokens to 992") as caught:
        plan_memory(config, LlmOptions(memory_bytes=300 << 20), SIZES, 1 << 30, "m")
    assert "494.0 MiB: weights 100.0 MiB + pages 256.0 MiB + scratch 10.0 MiB" in str(caught.value)
    with pytest.raises(TooLargeError, match="take a smaller model"):
        plan_memory(config, LlmOptions(), SIZES, 100 << 20, "m")
    assert plan_memory(config, LlmOptions(kv_bytes=300 << 20), SIZES, 1 << 30, "m").pages == 300


def test_files_that_are_not_there_or_damaged_are_named(loaded: Load, tmp_path: Path) -> None:
    weights = tmp_path / "1/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"model\.safetensors"):
        loaded()
    with pytest.raises(NotFoundError):
        load(TextEngineSource("none", 1, tmp_path / "2"))
