"""Texts become ids as the tokenizer gives them, padded per request; a text that is too long is never cut in silence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from tests.benchmarks.minilm_graph import minilm_graph
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from hekla.base.errors import ConfigError, InputError, ModelFileError, ShapeError, TooLargeError
from hekla.protocols.stage import StageSource, Values
from hekla.tasks.embed import outputs, tokenize

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "three", "##s", "é"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A version folder: a tokenizer of a few words, saved with settings that must not act, and a limit of 6 tokens."""
    tokenizer = Tokenizer(WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    return tmp_path


def source(folder: Path, **options: object) -> StageSource:
    return StageSource("embed", folder, options, "models/embed/model.toml: [pipeline.preprocess]")


def run(folder: Path, *texts: bytes | str, **options: object) -> Values:
    return tokenize(source(folder, **options)).run({"text": np.array(texts, np.object_)}, {})


def test_texts_are_padded_to_the_longest_of_the_request(folder: Path) -> None:
    values = run(folder, b"one", b"Ones TWO \xc3\xa9", b"")
    assert values["input_ids"].tolist() == [[2, 4, 3, 0, 0, 0], [2, 4, 7, 5, 8, 3], [2, 3, 0, 0, 0, 0]]
    assert values["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6, [1, 1, 0, 0, 0, 0]]
    assert values["tokens"].tolist() == [3, 6, 2]
    assert values["truncated"].tolist() == [False] * 3
    assert {values[name].dtype for name in ("input_ids", "attention_mask", "tokens")} == {np.dtype(np.int64)}


def test_a_text_given_as_str_is_taken_too(folder: Path) -> None:
    assert run(folder, "two")["input_ids"].tolist() == run(folder, b"two")["input_ids"].tolist()


def test_other_values_pass_and_the_text_does_not(folder: Path) -> None:
    values = tokenize(source(folder)).run({"text": np.array([b"one"], np.object_), "user": 7}, {})
    assert values["user"] == 7
    assert "text" not in values


def test_a_text_that_is_too_long_is_refused_with_its_place_and_length(folder: Path) -> None:
    with pytest.raises(TooLargeError) as refused:
        run(folder, b"one", b"one two three one two")
    assert str(refused.value) == (
        'text[1]: the limit is 6 tokens, got 7; send it in parts, or serve the model with on_too_long = "truncate"'
    )


def test_a_cut_text_keeps_its_last_special_token_and_is_reported(folder: Path) -> None:
    values = run(folder, b"one two three one two", b"one", on_too_long="truncate")
    assert values["input_ids"].tolist() == [[2, 4, 5, 6, 4, 3], [2, 4, 3, 0, 0, 0]]
    assert values["truncated"].tolist() == [True, False]
    assert values["tokens"].tolist() == [6, 3]


def test_an_option_overrides_the_model_s_own_limit(folder: Path) -> None:
    assert run(folder, b"one two three one two", max_tokens=7)["tokens"].tolist() == [7]


def test_text_that_is_no_utf8_is_refused_with_its_place(folder: Path) -> None:
    with pytest.raises(InputError, match=r"text\[1\]: not UTF-8 \(byte 2\); encode text as UTF-8"):
        run(folder, b"one", b"on\xff")


@pytest.mark.parametrize("shape", [(0,), (1, 1), ()])
def test_another_shape_than_a_list_of_texts_is_refused(folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="text: expected shape"):
        tokenize(source(folder)).run({"text": np.full(shape, b"one", np.object_)}, {})


OPTION_FAULTS: list[tuple[dict[str, object], str]] = [
    ({"on_too_long": "cut"}, 'on_too_long: got \'cut\'; write "error" or "truncate"'),
    ({"max_tokens": 2}, "max_tokens: leaves no room: 2 tokens are special"),
    ({"max_tokens": -1}, "max_tokens: expected from 0"),
    ({"max_token": 3}, "max_token: unknown option; did you mean 'max_tokens'?"),
]


@pytest.mark.parametrize(("options", "message"), OPTION_FAULTS)
def test_a_wrong_option_is_refused_by_name(folder: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        tokenize(source(folder, **options))
    assert f"models/embed/model.toml: [pipeline.preprocess].{message}" in str(refused.value)


def test_a_limit_must_be_said_somewhere(folder: Path) -> None:
    (folder / "sentence_bert_config.json").unlink()
    with pytest.raises(ConfigError, match=r"max_tokens: is not set, and there is no sentence_bert_config\.json"):
        tokenize(source(folder))


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"max_seq_length": "6"}', '{"max_seq_length": 0}'])
def test_a_damaged_limit_is_refused(folder: Path, text: str) -> None:
    (folder / "sentence_bert_config.json").write_text(text)
    with pytest.raises(ModelFileError, match=r"sentence_bert_config\.json"):
        tokenize(source(folder))


def test_a_damaged_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": 1}')
    with pytest.raises(ModelFileError, match=r"tokenizer\.json: is no tokenizer"):
        tokenize(source(folder))


def test_the_client_sees_the_vectors_and_what_they_cost(folder: Path) -> None:
    stage = outputs(source(folder, dimensions=3))
    answer = stage.run({"embedding": 1, "tokens": 2, "truncated": 3, "input_ids": 4}, {})
    assert answer == {"embedding": 1, "tokens": 2, "truncated": 3}
    assert [(spec.name, spec.shape) for spec in stage.outputs] == [
        ("embedding", (-1, 3)),
        ("tokens", (-1,)),
        ("truncated", (-1,)),
    ]


def minilm(folder: Path, *texts: str) -> NDArray[np.float32]:
    minilm_graph(folder)
    values = run(folder, *texts)
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    feed: dict[str, Any] = {name: values[name] for name in ("input_ids", "attention_mask")}  # Any: ONNX Runtime's own
    vectors: NDArray[np.float32] = session.run(["embedding"], feed)[0]
    return vectors


@pytest.mark.slow
def test_minilm_puts_sentences_of_one_meaning_together(tmp_path: Path) -> None:
    cat, kitten, market, shares = minilm(
        tmp_path,
        "A cat sits on the mat.",
        "The kitten is resting on a rug.",
        "Stock prices fell sharply today.",
        "Shares lost much of their value.",
    )
    assert cat @ kitten > 0.5 > cat @ market
    assert market @ shares > 0.5 > kitten @ shares


@pytest.mark.slow
def test_minilm_gives_the_recorded_vectors(tmp_path: Path) -> None:
    recorded = json.loads((Path(__file__).parent / "minilm.json").read_text())
    vectors = minilm(tmp_path, *(case["text"] for case in recorded))
    for case, vector in zip(recorded, vectors, strict=True):
        np.testing.assert_allclose(vector[:8], case["first"], atol=1e-5)
        assert len(vector) == 384
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
