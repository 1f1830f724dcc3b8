"""Writes a folder of AWQ safetensors: config.json, weights, tokeniser, chat template.

Each group of inputs of an output gets a scale and a zero of its own, rounded to nearest. Nothing is calibrated: AWQ's
own search for scales needs activations. Whatever is no matrix of a layer is stored as F16, which transformers reads.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError, UnsupportedError
from hekla.llm.awq import packed
from hekla.llm.dequantise import dequantised
from hekla.llm.families.catalogue import FAMILIES
from hekla.llm.huggingface import huggingface_name
from hekla.llm.model_config import ModelConfig
from hekla.llm.model_file import ModelFile
from hekla.llm.safetensors_writer import write_safetensors
from hekla.llm.tensors import StoredTensor

GROUPS = (128, 64, 32)  # sizes tried, where none is asked for
_TOKENISER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")
F32 = NDArray[np.float32]


def quantise_awq(
    model: ModelFile, target: Path, group: int = 0, progress: Callable[[str], None] = lambda _: None
) -> int:
    """Write an AWQ folder of a model and return its group size; 0 asks for the largest that fits.

    Errors: UnsupportedError for an architecture whose config.json is not written, or a group that does not fit;
    ModelFileError for a target that is there.
    """
    if target.exists():
        raise ModelFileError("the target is there already", where=str(target), cure="name another folder")
    group = _fitting_group(model, group)
    config = _config(model, group)
    staged = target.with_name(f".{target.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        write_safetensors(staged / "model.safetensors", dict(_parts(model, group, progress)))
        (staged / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        _write_tokeniser(model, staged)
        staged.replace(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return group


def awq_parts(values: F32, group: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float16]]:
    """Return qweight, qzeros and scales of a matrix. Shapes: (outputs, inputs) -> as `awq.py` has them."""
    outputs, inputs = values.shape
    parts = np.ascontiguousarray(values.T, np.float32).reshape(inputs // group, group, outputs)
    least, most = np.minimum(parts.min(axis=1), 0), np.maximum(parts.max(axis=1), 0)
    scales = np.maximum((most - least) / np.float32(15), np.float32(1e-7)).astype(np.float16)
    step = scales.astype(np.float32)
    zeros = np.clip(np.rint(-least / step), 0, 15)
    codes = np.clip(np.rint(parts / step[:, None]) + zeros[:, None], 0, 15)
    return packed(codes.reshape(inputs, outputs).astype(np.uint8)), packed(zeros.astype(np.uint8)), scales


def _fitting_group(model: ModelFile, group: int) -> int:
    matrices = [tensor for tensor in model.tensors.values() if _is_quantised(tensor)]
    for tried in (group,) if group else GROUPS:
        wrong = [tensor for tensor in matrices if tensor.shape[1] % tried or tensor.shape[0] % 8]
        if not wrong:
            return tried
    raise UnsupportedError(
        f"groups of {group or ' or '.join(map(str, GROUPS))} do not fit {wrong[0].name} {list(wrong[0].shape)}",
        where="--group",
        cure="inputs must be a multiple of the group, outputs of 8",
    )


def _is_quantised(tensor: StoredTensor) -> bool:
    return tensor.name.startswith("blk.") and len(tensor.shape) == 2


def _parts(model: ModelFile, group: int, progress: Callable[[str], None]) -> "list[tuple[str, NDArray[Any]]]":
    norms = next(family.norm_names for family in FAMILIES if family.name == model.config.family)
    found: list[tuple[str, NDArray[Any]]] = []  # Any: i32 and f16
    for tensor in model.tensors.values():
        progress(tensor.name)
        stem, _, kind = huggingface_name(tensor.name, norms).rpartition(".")
        values = _turned_back(tensor, model.config)
        if not _is_quantised(tensor):
            found.append((f"{stem}.{kind}", values.astype(np.float16)))
            continue
        weight, zeros, scales = awq_parts(values, group)
        found += [(f"{stem}.qweight", weight.view(np.int32)), (f"{stem}.qzeros", zeros.view(np.int32))]
        found.append((f"{stem}.scales", scales))
    return found


def _turned_back(tensor: StoredTensor, config: ModelConfig) -> F32:
    """Return a tensor's values as transformers orders them: GGUF's llama has the pairs that turn side by side."""
    values = dequantised(tensor)
    part = tensor.name.split(".")[-2]
    if not config.layers[0].rotary.is_interleaved or part not in ("attn_q", "attn_k"):
        return values
    heads = config.heads if part == "attn_q" else config.kv_heads
    pairs = values.reshape(heads, config.head_width // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)


def _config(model: ModelFile, group: int) -> Mapping[str, Any]:  # Any: JSON
    awq = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    if model.metadata.get("model_type") is not None:
        return {**model.metadata.values, "quantization_config": awq}
    config = model.config
    plain = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
    rotary = config.layers[0].rotary
    if config.family not in plain or rotary.factors or rotary.scale != 1.0 or rotary.dimensions != config.head_width:
        raise UnsupportedError(
            f"a config.json of {config.family} is not written from GGUF", cure=f"known: {', '.join(plain)}"
        )
    return {
        "architectures": [plain[config.family]],
        "model_type": config.family,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_tokens,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": rotary.theta,
        "tie_word_embeddings": config.is_head_tied,
        "vocab_size": config.vocabulary_tokens,
        "bos_token_id": config.begin_token,
        "eos_token_id": sorted(config.end_tokens),
        "torch_dtype": "float16",
        "quantization_config": awq,
    }


def _write_tokeniser(model: ModelFile, folder: Path) -> None:
    if model.metadata.get("tokenizer.ggml.model") is None:
        for name in _TOKENISER_FILES:
            if (model.folder / name).is_file():
                shutil.copyfile(model.folder / name, folder / name)
        return
    from hekla.llm.tokenise.export import tokenizer_json  # the tables of a large vocabulary are needed here only

    (folder / "tokenizer.json").write_text(tokenizer_json(model.metadata), "utf-8")
    if "" in model.chat_templates:
        (folder / "chat_template.jinja").write_text(model.chat_templates[""], "utf-8")
