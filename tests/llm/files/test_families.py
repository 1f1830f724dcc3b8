"""Each family's GGUF and safetensors say the same of a model, and the real files say what they are."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.llm.files.small_files import real_model, tensors_to_write, write_huggingface
from tests.llm.tiny_models import GEMMA2, GEMMA3, LLAMA, QWEN2, QWEN3, tiny_weights

from hekla.base.errors import ModelFileError, NotFoundError, UnsupportedError
from hekla.llm.dequantise import dequantised
from hekla.llm.families import family_of_model_type
from hekla.llm.families.rotary import huggingface_rotary
from hekla.llm.gguf_writer import write_gguf
from hekla.llm.huggingface import huggingface_name
from hekla.llm.metadata import Metadata, MetadataValue
from hekla.llm.model_config import LayerConfig, ModelConfig, RotaryConfig
from hekla.llm.model_file import open_model
from hekla.llm.tensors import Quantisation

HALVES = RotaryConfig(theta=10000.0, dimensions=8, is_interleaved=False)
PERIOD_3 = (LayerConfig(HALVES, 5), LayerConfig(HALVES, 5), LayerConfig(replace(HALVES, theta=1e6, scale=8.0)))
# As both kinds of file say it; what differs between them is in `as_gguf`.
CONFIGS = {
    "llama": replace(LLAMA, layers=(LayerConfig(HALVES),) * 2, begin_token=None),
    "qwen2": replace(QWEN2, begin_token=None),
    "qwen3": replace(QWEN3, begin_token=None),
    "gemma2": replace(GEMMA2, begin_token=None, is_norm_plus_one=True),
    "gemma3": replace(GEMMA3, begin_token=None, layers=PERIOD_3),
}
CONFIGS = {family: replace(config, query_scale=1.0 / math.sqrt(8)) for family, config in CONFIGS.items()}
# Inverse frequencies of Llama 3.2's config, by pair, as transformers 5.23 computes them.
LLAMA3_INVERSE = {0: 1.0, 20: 0.016560440883040428, 28: 0.0032114461064338684, 30: 0.0012905480107292533}
LLAMA3_INVERSE |= {33: 0.00022276341042015702, 40: 8.570255886297673e-06, 63: 7.672314694673332e-08}


def as_gguf(config: ModelConfig) -> ModelConfig:
    """Return a config as its GGUF says it: llama's pairs lie side by side, gemma's norms are whole."""
    layers = tuple(
        replace(row, rotary=replace(row.rotary, is_interleaved=config.family == "llama")) for row in config.layers
    )
    return replace(config, layers=layers, is_norm_plus_one=False)


def gguf_table(config: ModelConfig) -> dict[str, MetadataValue]:
    own, rotary = config.family, config.layers[-1].rotary
    table: dict[str, MetadataValue] = {
        "general.architecture": own,
        f"{own}.block_count": len(config.layers),
        f"{own}.context_length": config.context_tokens,
        f"{own}.embedding_length": config.width,
        f"{own}.feed_forward_length": config.feed_forward_width,
        f"{own}.attention.head_count": config.heads,
        f"{own}.attention.head_count_kv": config.kv_heads,
        f"{own}.attention.key_length": config.head_width,
        f"{own}.attention.layer_norm_rms_epsilon": config.norm_epsilon,
        f"{own}.rope.freq_base": rotary.theta,
        "tokenizer.ggml.eos_token_id": 95,
    }
    if config.family.startswith("gemma"):
        table[f"{own}.attention.sliding_window"] = config.layers[0].window_tokens
    if config.family == "gemma2":
        table |= {f"{own}.attn_logit_softcapping": 5.0, f"{own}.final_logit_softcapping": 3.0}
    if config.family == "gemma3":
        table |= {f"{own}.rope.scaling.type": "linear", f"{own}.rope.scaling.factor": 8.0}
        table[f"{own}.attention.sliding_window_pattern"] = 3
    return table


def huggingface_table(config: ModelConfig) -> dict[str, Any]:
    table: dict[str, Any] = {
        "model_type": {"gemma3": "gemma3_text"}.get(config.family, config.family),
        "num_hidden_layers": len(config.layers),
        "max_position_embeddings": config.context_tokens,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward_width,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.layers[-1].rotary.theta,
        "eos_token_id": [95],
    }
    if config.family.startswith("gemma"):
        table |= {"sliding_window": config.layers[0].window_tokens, "query_pre_attn_scalar": config.head_width}
    if config.family == "gemma2":
        table |= {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}
    if config.family == "gemma3":
        table |= {"sliding_window_pattern": 3, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    return table


@pytest.mark.parametrize("family", CONFIGS)
def test_a_gguf_says_what_the_model_is(tmp_path: Path, family: str) -> None:
    config = CONFIGS[family]
    write_gguf(tmp_path / "m.gguf", gguf_table(config), tensors_to_write(config, Quantisation.F32))
    found = open_model(tmp_path / "m.gguf").config
    assert replace(found, norm_epsilon=config.norm_epsilon) == as_gguf(config)
    assert found.norm_epsilon == pytest.approx(config.norm_epsilon)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_folder_of_safetensors_says_the_same(tmp_path: Path, family: str) -> None:
    config, weights = CONFIGS[family], tiny_weights(CONFIGS[family])
    table = huggingface_table(config)
    norms = family_of_model_type(table["model_type"], "").norm_names
    tensors = {huggingface_name(name, norms): values for name, values in weights.items()}
    found = open_model(write_huggingface(tmp_path / "m", tensors, table))
    assert found.config == config
    assert found.unknown_tensors == ()
    for name, values in weights.items():
        np.testing.assert_array_equal(dequantised(found.tensors[name]), values)


def test_a_head_that_is_the_embedding_is_dropped_and_one_that_lacks_is_missed(tmp_path: Path) -> None:
    weights = tiny_weights(CONFIGS["llama"])
    norms = family_of_model_type("llama", "").norm_names
    tensors = {huggingface_name(name, norms): values for name, values in weights.items()}
    table = huggingface_table(CONFIGS["llama"])
    tied = open_model(write_huggingface(tmp_path / "tied", tensors, {**table, "tie_word_embeddings": True}))
    assert tied.config.is_head_tied
    assert "output.weight" not in tied.tensors
    del tensors["lm_head.weight"]
    with pytest.raises(ModelFileError, match=r"tensor 'output\.weight': expected one of shape \[96, 24\], found none"):
        open_model(write_huggingface(tmp_path / "lacks", tensors, {**table, "tie_word_embeddings": False}))


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path / "m", {"a": np.zeros(1, np.float32)}, {"model_type": "mamba"})
    with pytest.raises(UnsupportedError, match="the model type 'mamba' is not known; known: gemma2, gemma3"):
        open_model(folder)
    with pytest.raises(NotFoundError, match=r"put a \.gguf file there, or config\.json and safetensors"):
        open_model(tmp_path)


def test_two_files_in_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ModelFileError, match=r"expected one \.gguf file, found a\.gguf, b\.gguf"):
        open_model(tmp_path)


def test_another_quantisation_than_awq_is_named(tmp_path: Path) -> None:
    table = huggingface_table(CONFIGS["llama"]) | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    with pytest.raises(UnsupportedError, match="the quantisation 'gptq' of 4 bits, version 'gemm'"):
        open_model(write_huggingface(tmp_path / "m", {"a": np.zeros(1, np.float32)}, table))


def test_llama_3_divides_slow_frequencies() -> None:
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 8192
    found = huggingface_rotary(Metadata({"rope_theta": 500000.0, "rope_scaling": scaling}, "config.json"), 128)
    assert len(found.factors) == 64
    inverse = [500000.0 ** (-2 * pair / 128) / found.factors[pair] for pair in range(64)]
    assert [inverse[pair] for pair in LLAMA3_INVERSE] == pytest.approx(list(LLAMA3_INVERSE.values()), rel=1e-5)


@pytest.mark.parametrize(
    ("scaling", "message"), [({"rope_type": "yarn", "factor": 2.0}, "rotary scaling 'yarn'; known: default, linear")]
)
def test_a_rotary_scaling_that_is_not_computed_is_named(scaling: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        huggingface_rotary(Metadata({"rope_scaling": scaling}, "config.json"), 8)


@pytest.mark.slow
def test_smollm2_is_a_llama_of_thirty_layers() -> None:
    model = open_model(real_model("smollm2"))
    assert (model.config.family, model.quantisation, model.parameters) == ("llama", "Q4_1", 134_515_008)
    assert (len(model.config.layers), model.config.heads, model.config.kv_heads) == (30, 9, 3)
    assert model.config.end_tokens == {0, 2}
    assert model.unknown_tensors == ()


@pytest.mark.slow
def test_gemma3_has_a_window_on_five_of_six_layers() -> None:
    model = open_model(real_model("gemma3"))
    assert (model.config.family, model.quantisation, model.parameters) == ("gemma3", "Q5_0", 268_098_176)
    windows = [layer.window_tokens for layer in model.config.layers]
    assert windows == [512, 512, 512, 512, 512, 0] * 3
    assert [layer.rotary.theta for layer in model.config.layers] == [1e4, 1e4, 1e4, 1e4, 1e4, 1e6] * 3
    assert model.config.begin_token == 2
    assert model.chat_templates == {}
