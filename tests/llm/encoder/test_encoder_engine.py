"""The engine `encoder` keeps the promises of its seam, and refuses by name what it does not know."""

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.llm.compiled.test_encoder import TINY, weights_of
from tests.llm.compiled.test_encoder import reference as bert
from tests.llm.files.small_files import write_huggingface
from tests.llm.files.test_safetensors import THEIRS
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, ConfigError, InputError, ModelFileError, TooLargeError, UnsupportedError
from hekla.llm.encoder_engine import EncoderEngine, groups, load
from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import Array, TensorSpec
from hekla.testing.check_engine import check_engine

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "a", "mat")
TEXTS = ("the cat sat", "a", "the mat on the cat on the mat", "a cat")


def tiny_folder(folder: Path, *, has_ends: bool = True) -> Path:
    """Write a BERT of two layers with a vocabulary of ten words."""
    arrays = {_their_name(name): array for name, array in weights_of(TINY).items()}
    config = {
        "model_type": "bert", "hidden_size": TINY.width, "num_attention_heads": TINY.heads,
        "num_hidden_layers": TINY.layers, "intermediate_size": TINY.feed_forward_width,
        "vocab_size": TINY.vocabulary_tokens, "max_position_embeddings": TINY.positions,
        "type_vocab_size": TINY.token_types, "layer_norm_eps": TINY.norm_epsilon,
    }  # fmt: skip
    write_huggingface(folder, arrays, config)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12}))
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if has_ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _their_name(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "blk":
        return f"encoder.layer.{parts[1]}.{THEIRS[parts[2]]}.{parts[3]}"
    return f"{THEIRS[parts[0]]}.{parts[1]}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EngineSource:
    folder = tiny_folder(tmp_path_factory.mktemp("encoder") / "1")
    return EngineSource("tiny", 1, folder, options={"precision": "exact"}, threads=1, where="model.toml: [engine]")


@pytest.fixture(scope="module")
def engine(source: EngineSource) -> EncoderEngine:
    return load(source)


def with_options(source: EngineSource, **options: object) -> EngineSource:
    return replace(source, options={**source.options, **options})


def texts(*given: str | bytes) -> Mapping[str, Array]:
    """Return the input of those texts."""
    array: Array = np.empty(len(given), np.object_)
    array[:] = [text.encode() if isinstance(text, str) else text for text in given]
    return {"text": array}


def test_it_keeps_the_promises_of_an_engine(source: EngineSource) -> None:
    check_engine(lambda: load(source), texts(*TEXTS), failing=texts("a", b"\xff", "a", "a"))


def test_vectors_are_the_reference_s(engine: EncoderEngine) -> None:
    found = engine.run(texts(*TEXTS))
    weights = weights_of(TINY)
    for text, vector, tokens in zip(TEXTS, found["embedding"], found["tokens"], strict=True):
        ids = np.array([2, *(WORDS.index(word) for word in text.split()), 3], np.int32)
        assert tokens == len(ids)
        np.testing.assert_allclose(vector, bert(TINY, weights, ids), rtol=1e-4, atol=1e-5)
    assert not found["truncated"].any()


def test_it_is_found_by_its_name() -> None:
    (found,) = entry_points(group="hekla.engines", name="encoder")
    assert found.load() is load


def test_many_texts_are_as_each_alone(engine: EncoderEngine) -> None:
    random = np.random.default_rng(3)
    many = [" ".join(random.choice(WORDS[4:], random.integers(0, 9))) for _ in range(300)]
    found = engine.run(texts(*many))["embedding"]
    assert_array_equal(found[::50], [engine.run(texts(text))["embedding"][0] for text in many[::50]])


def test_groups_hold_every_sentence_once_and_no_more_than_fits() -> None:
    lengths = np.random.default_rng(4).integers(1, 90, 200).tolist()
    found = list(groups(lengths, 100))
    assert sorted(at for group in found for at in group) == list(range(200))
    assert max(sum(lengths[at] for at in group) for group in found) <= 100
    assert list(groups([7, 300, 5], 100)) == [[1], [0, 2]]
    assert list(groups([], 100)) == []


def test_a_text_that_is_too_long_is_refused_unless_cutting_is_asked_for(source: EngineSource) -> None:
    long = " ".join(["cat"] * 11)
    with pytest.raises(TooLargeError, match=r"text\[1\]: the limit is 12 tokens, got 13; send it in parts"):
        load(source).run(texts("a", long))
    assert load(with_options(source, max_tokens=13)).run(texts("a", long))["tokens"].tolist() == [3, 13]
    cutting = load(with_options(source, max_tokens=5, on_too_long="truncate"))
    found = cutting.run(texts("a", long, "cat cat cat"))
    assert found["tokens"].tolist() == [3, 5, 5]
    assert found["truncated"].tolist() == [False, True, False]
    assert_array_equal(found["embedding"][1], found["embedding"][2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precison": "exact"}, r"model\.toml: \[engine\]\.precison: unknown option; .*precision"),
        ({"precision": "fast"}, r"\[engine\]\.precision: expected one of quantised, exact, got 'fast'"),
        ({"on_too_long": True}, r"\[engine\]\.on_too_long: expected one of error, truncate, got True"),
        ({"max_tokens": 0}, r"\[engine\]\.max_tokens: expected a whole number above 0, got 0"),
        ({"max_tokens": True}, r"\[engine\]\.max_tokens: expected a whole number above 0, got True"),
        ({"max_tokens": 81}, r"\[engine\]\.max_tokens: the model has 80 positions, got 81"),
        ({"max_tokens": 2}, r"\[engine\]\.max_tokens: leaves no room: 2 tokens are special"),
        ({"max_tokens": 2, "on_too_long": "truncate"}, "leaves no room"),
    ],
)
def test_a_wrong_option_is_named(source: EngineSource, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(with_options(source, **options))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (TensorSpec("embeding", DType.FP32, (-1, 48)), r"\[\[outputs\]\] embeding: .*no such tensor; .*embedding"),
        (
            TensorSpec("embedding", DType.FP32, (-1, 384)),
            r"declared FP32 \[-1, 384\], but the model has FP32 \[-1, 48\]",
        ),
        (TensorSpec("tokens", DType.INT32, (-1,)), r"declared INT32 \[-1\], but the model has INT64 \[-1\]"),
    ],
)
def test_what_is_declared_must_be_so(source: EngineSource, declared: TensorSpec, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        load(replace(source, outputs=(declared,)))


def test_what_is_declared_rightly_is_taken(source: EngineSource, engine: EncoderEngine) -> None:
    load(replace(source, inputs=engine.inputs, outputs=engine.outputs[:1]))


def test_files_that_are_missing_or_wrong_are_named(source: EngineSource, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"config\.json: cannot be read"):
        load(replace(source, folder=tmp_path))
    folder = tiny_folder(tmp_path / "1")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFileError, match=r"tokenizer\.json: is no tokenizer"):
        load(replace(source, folder=folder))
    Tokenizer(models.WordLevel({str(at): at for at in range(51)})).save(str(folder / "tokenizer.json"))
    with pytest.raises(ModelFileError, match="expected at most 50 tokens, the rows of the embedding, found 51"):
        load(replace(source, folder=folder))
    (folder / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(UnsupportedError, match="model type 't5'"):
        load(replace(source, folder=folder))


def test_an_empty_text_is_one_where_the_tokeniser_adds_ends(
    source: EngineSource, engine: EncoderEngine, tmp_path: Path
) -> None:
    assert engine.run(texts(""))["tokens"].tolist() == [2]
    bare = load(replace(source, folder=tiny_folder(tmp_path / "1", has_ends=False)))
    with pytest.raises(InputError, match=r"text\[1\]: a text of no tokens"):
        bare.run(texts("a", ""))


def test_only_what_is_asked_for_is_computed(engine: EncoderEngine) -> None:
    found = engine.run(texts(*TEXTS), ["tokens"], Cancellation())
    assert list(found) == ["tokens"]


class StopsLater(Cancellation):
    """A switch that is found thrown when it is looked at for the third time."""

    looks = 0

    @property
    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > 2


def test_a_run_stops_between_calls(engine: EncoderEngine) -> None:
    long = texts(*["the cat sat on a mat"] * 400)  # 3,200 tokens: four calls
    expected = engine.run(long)
    switch = StopsLater()
    with pytest.raises(CancelledError):
        engine.run(long, (), switch)
    assert switch.looks == 3  # at the start, before the first call, before the second
    assert_array_equal(engine.run(long)["embedding"], expected["embedding"])


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> EngineSource:
    from tests.benchmarks.minilm_graph import minilm_graph  # slow to import

    return EngineSource("minilm", 1, minilm_graph(tmp_path_factory.mktemp("minilm")), threads=2)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "closest"), [("quantised", 0.999), ("exact", 0.99999)])
def test_minilm_s_vectors_are_onnx_runtime_s(minilm: EngineSource, precision: str, closest: float) -> None:
    from hekla.engines.onnx_runtime import load as load_onnx  # slow to import

    given = ["A cat sat on the mat.", "Stock markets fell again; investors worry.", "Émile Zola", "x " * 120, "4"]
    found = load(with_options(minilm, precision=precision)).run(texts(*given))
    onnx = load_onnx(replace(minilm, options={}))
    tokenizer: Any = Tokenizer.from_file(str(minilm.folder / "tokenizer.json"))  # Any: its stubs are partial
    tokenizer.no_padding()
    tokenizer.no_truncation()
    for text, vector, tokens in zip(given, found["embedding"], found["tokens"], strict=True):
        ids = np.array([tokenizer.encode(text).ids])
        expected = onnx.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})["embedding"][0]
        assert tokens == ids.shape[1]
        assert vector @ expected > closest
