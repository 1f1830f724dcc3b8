"""`hekla quantize`: GGUF to GGUF and to AWQ folders, everything else as it was."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.llm.files.small_files import SMALL, real_model, write_small_gguf

from hekla.base.errors import ModelFileError, UnsupportedError
from hekla.llm.awq_writer import awq_parts, quantise_awq
from hekla.llm.dequantise import dequantised
from hekla.llm.model_file import open_model
from hekla.llm.model_language import ModelLanguage
from hekla.llm.quantise_model import kind_for, kind_named, quantise_gguf
from hekla.llm.tensors import Quantisation, StoredTensor


def test_a_copy_as_f32_has_the_very_numbers(tmp_path: Path) -> None:
    source = write_small_gguf(tmp_path / "q4.gguf", kind=Quantisation.Q4_1)
    written = quantise_gguf(source, tmp_path / "out" / "f32.gguf", Quantisation.F32)
    before, after = open_model(source), open_model(written.path)
    assert after.config == before.config
    assert after.chat_templates == before.chat_templates
    for name, tensor in before.tensors.items():
        assert after.tensors[name].quantisation is Quantisation.F32
        np.testing.assert_array_equal(dequantised(after.tensors[name]), dequantised(tensor))
    text = "hello world <|im_end|>"
    assert ModelLanguage(after).encode(text, is_special=True) == ModelLanguage(before).encode(text, is_special=True)


def test_the_kinds_of_256_give_way_where_rows_are_shorter(tmp_path: Path) -> None:
    source = write_small_gguf(tmp_path / "f32.gguf", kind=Quantisation.F32)
    written = quantise_gguf(source, tmp_path / "q4_k.gguf", Quantisation.Q4_K)
    kinds = {name: tensor.quantisation.name for name, tensor in open_model(written.path).tensors.items()}
    assert kinds["blk.0.ffn_up.weight"] == "Q5_0"
    assert kinds["token_embd.weight"] == kinds["output.weight"] == "Q8_0"
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert written.tensors == {"F32": 5, "Q5_0": 14, "Q8_0": 2}


def test_a_row_that_fits_no_block_is_kept_as_f16() -> None:
    tensor = StoredTensor("blk.0.ffn_up.weight", Quantisation.F32, (2, 20), np.zeros(160, np.uint8))
    assert kind_for(tensor, Quantisation.Q4_0) is Quantisation.F16


def test_the_source_is_not_written_over(tmp_path: Path) -> None:
    source = write_small_gguf(tmp_path / "m.gguf")
    with pytest.raises(ModelFileError, match="the target is the source"):
        quantise_gguf(source, source, Quantisation.F32)


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    assert kind_named("Q4_K") is Quantisation.Q4_K
    with pytest.raises(UnsupportedError, match=r"--to: 'q3_k' is no kind that is written; known: .*q8_0.*, awq"):
        kind_named("q3_k")


def test_awq_of_a_matrix_is_within_half_a_step_of_each_group() -> None:
    values = np.random.default_rng(3).standard_normal((16, 64)).astype(np.float32)
    weight, zeros, scales = awq_parts(values, 32)
    assert (weight.shape, zeros.shape, scales.shape) == ((64, 2), (2, 2), (2, 16))
    tensor = StoredTensor(
        "t", Quantisation.AWQ4, (16, 64), weight.view(np.uint8).reshape(-1), scales, zeros.view(np.uint8)
    )
    steps = np.repeat(scales.astype(np.float32).T, 32, axis=1)
    assert (np.abs(dequantised(tensor) - values) <= steps * 1.01).all()


def permuted(values: np.ndarray, heads: int) -> np.ndarray:
    """Order queries or keys as GGUF's llama has them, the way llama.cpp's converter does."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)


def test_an_awq_folder_is_the_same_model(tmp_path: Path) -> None:
    source = open_model(write_small_gguf(tmp_path / "m.gguf", kind=Quantisation.F32))
    assert quantise_awq(source, tmp_path / "awq") == 32
    found = open_model(tmp_path / "awq")
    assert found.quantisation == "AWQ4"
    assert found.unknown_tensors == ()
    assert found.config.layers[0].rotary.is_interleaved is False
    assert found.config.end_tokens == source.config.end_tokens
    assert found.parameters == source.parameters
    for part, heads in (("attn_q", SMALL.heads), ("attn_k", SMALL.kv_heads)):
        back = permuted(dequantised(found.tensors[f"blk.1.{part}.weight"]), heads)
        original = dequantised(source.tensors[f"blk.1.{part}.weight"])
        assert np.abs(back - original).max() < 0.15 * np.abs(original).max()
    before, after = ModelLanguage(source), ModelLanguage(found)
    messages = [{"role": "user", "content": "hello world <|im_end|>"}]
    assert after.render_chat(messages) == before.render_chat(messages)


def test_a_group_that_does_not_fit_names_the_tensor(tmp_path: Path) -> None:
    source = open_model(write_small_gguf(tmp_path / "m.gguf"))
    with pytest.raises(UnsupportedError, match=r"--group: groups of 128 do not fit blk\.0\.attn_q\.weight \[32, 32\]"):
        quantise_awq(source, tmp_path / "awq", 128)
    assert not (tmp_path / "awq").exists()


def test_another_group_size_than_the_scales_have_is_refused(tmp_path: Path) -> None:
    quantise_awq(open_model(write_small_gguf(tmp_path / "m.gguf")), tmp_path / "awq")
    config = json.loads((tmp_path / "awq" / "config.json").read_text())
    config["quantization_config"]["group_size"] = 16
    (tmp_path / "awq" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match="expected groups of 16, the scales are for groups of 32"):
        open_model(tmp_path / "awq")


@pytest.mark.slow
def test_a_real_model_becomes_awq(tmp_path: Path) -> None:
    source = open_model(real_model("smollm2"))
    assert quantise_awq(source, tmp_path / "awq") == 64
    found = open_model(tmp_path / "awq")
    name = "blk.3.ffn_up.weight"
    values, back = dequantised(source.tensors[name]), dequantised(found.tensors[name])
    assert np.sqrt(np.mean(np.square(values - back)) / np.mean(np.square(values))) < 0.1
