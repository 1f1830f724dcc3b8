"""safetensors: read as written, in shards, BERT's too; nothing hostile gets further than a typed error."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.llm.files.small_files import write_huggingface

from hekla.base.errors import HeklaError, ModelFileError, NotFoundError, UnsupportedError
from hekla.llm.checks import TensorError
from hekla.llm.dequantise import dequantised
from hekla.llm.encoder_file import open_encoder
from hekla.llm.families.bert import bert_tensors
from hekla.llm.huggingface import read_shards
from hekla.llm.safetensors import read_safetensors
from hekla.llm.safetensors_writer import write_safetensors


def header(table: Any, data: bytes = b"") -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: list[Any], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_arrays_come_back_as_they_were_written(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"b": np.arange(6, dtype=np.float16).reshape(2, 3), "a": np.arange(4, dtype=np.float32)}
    write_safetensors(tmp_path / "m.safetensors", arrays)
    _, found = read_safetensors(tmp_path / "m.safetensors")
    assert {name: (raw.dtype, raw.shape) for name, raw in found.items()} == {"a": ("F32", (4,)), "b": ("F16", (2, 3))}
    np.testing.assert_array_equal(found["b"].data.view(np.float16), np.arange(6))
    assert all(raw.data.ctypes.data % 4 == 0 for raw in found.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a header, found 0 bytes"),
        (b"\xff" * 8, "header of 18446744073709551615 bytes in a file of 8"),
        (header(b"{"), "no safetensors header"),
        (header(b"[1]"), "no safetensors header"),
        (header(b"[" * 100_000), "no safetensors header"),
        (header({"a": 1}), "no safetensors header"),
        (header({"a": entry("F32", [2], 0, 4)}, bytes(8)), "'F32' of shape '[2]' does not fill bytes 0 to 4"),
        (header({"a": entry("F32", [2], 0, 8)}, bytes(4)), "ends at byte"),
        (header({"a": entry("Q4", [2], 0, 8)}, bytes(8)), "'Q4' of shape"),
        (header({"a": entry("F32", [-2], 8, 0)}, bytes(8)), "does not fill bytes 8 to 0"),
        (header({"a": entry("F32", [1 << 63, 2], 0, 8)}, bytes(8)), "more than 63 bits"),
        (header({"a": entry("F32", ["2"], 0, 8)}, bytes(8)), "whole numbers"),
        (header({"a": entry("F32", [2], -8, 0)}, bytes(8)), "does not fill bytes -8 to 0"),
        (header(b'{"a": {}, "a": {}}'), "a name is there twice"),
        (
            header({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
            "'a' and 'b' overlap at byte 4",
        ),
    ],
)
def test_a_hostile_file_is_refused_with_what_was_found(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError) as refused:
        read_safetensors(tmp_path / "m.safetensors")
    assert message.replace("'[2]'", "[2]") in str(refused.value).replace("'[2]'", "[2]")


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=5))
def test_flipped_bytes_never_end_in_anything_but_a_typed_error(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    table = {"a": entry("F32", [2, 3], 0, 24), "b": entry("F16", [4], 24, 32)}
    content = bytearray(header(table, bytes(32)))
    for at, value in flips:
        content[at % len(content)] = value
    (tmp_path / "m.safetensors").write_bytes(content)
    with contextlib.suppress(HeklaError):
        read_safetensors(tmp_path / "m.safetensors")


def test_shards_are_read_as_the_index_says(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_safetensors(
            tmp_path / f"{name}.safetensors", {name: np.zeros(2, np.float32), "c": np.ones(2, np.float32)}
        )
    places = {"a": "a.safetensors", "b": "b.safetensors", "c": "b.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert sorted(read_shards(tmp_path)[1]) == ["a", "b", "c"]
    for wrong, message in (
        ({**places, "d": "a.safetensors"}, "tensor 'd' is not where the index puts it"),
        ({"a": "../a.safetensors"}, "expected a weight_map of files in this folder"),
    ):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(ModelFileError, match=message):
            read_shards(tmp_path)
    index.unlink()
    with pytest.raises(ModelFileError, match=r"expected one \.safetensors file, or an index, found a\."):
        read_shards(tmp_path)


def test_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no \.safetensors file here"):
        read_shards(tmp_path)


BERT = {
    "model_type": "bert",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 16,
    "vocab_size": 20,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
THEIRS = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


def bert_arrays() -> dict[str, Any]:
    """Return weights under the names that checkpoints have."""
    random = np.random.default_rng(5)
    found: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (8, 8))
    shapes |= {"ffn_up": (16, 8), "ffn_down": (8, 16), "attn_output_norm": (8,), "layer_output_norm": (8,)}
    for layer in range(2):
        for part, shape in shapes.items():
            stem = f"bert.encoder.layer.{layer}.{THEIRS[part]}"
            found[f"{stem}.weight"] = random.standard_normal(shape).astype(np.float32)
            found[f"{stem}.bias"] = np.zeros(shape[0], np.float32)
    for part, shape in {"token_embd": (20, 8), "position_embd": (12, 8), "token_types": (2, 8)}.items():
        found[f"bert.{THEIRS[part]}.weight"] = random.standard_normal(shape).astype(np.float32)
    found |= {f"bert.embeddings.LayerNorm.{kind}": np.ones(8, np.float32) for kind in ("weight", "bias")}
    found["bert.embeddings.position_ids"] = np.arange(12)
    return found


def test_a_bert_encoder_is_read_and_checked(tmp_path: Path) -> None:
    arrays = bert_arrays()
    folder = write_huggingface(tmp_path / "m", arrays, BERT)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 10}')
    found = open_encoder(folder)
    assert (found.config.layers, found.config.head_width, found.config.context_tokens) == (2, 4, 10)
    assert (found.config.pooling, found.config.activation) == ("mean", "gelu")
    assert found.tensors.keys() == bert_tensors(found.config).keys()
    np.testing.assert_array_equal(
        dequantised(found.tensors["blk.1.ffn_up.weight"]), arrays["bert.encoder.layer.1.intermediate.dense.weight"]
    )
    del arrays["bert.encoder.layer.0.output.dense.bias"]
    with pytest.raises(TensorError, match=r"tensor 'blk\.0\.ffn_down\.bias': expected one of shape \[8\], found none"):
        open_encoder(write_huggingface(tmp_path / "lacks", arrays, BERT))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "t5"}, "the model type 't5'; known: bert"),
        ({"hidden_act": "silu"}, "'silu' with 'absolute' positions"),
        ({"position_embedding_type": "relative_key"}, "'gelu' with 'relative_key' positions"),
    ],
)
def test_an_encoder_that_is_not_computed_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        open_encoder(write_huggingface(tmp_path / "m", bert_arrays(), {**BERT, **change}))
