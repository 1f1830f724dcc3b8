"""LoRA adapters as PEFT saves them: adapter_config.json and adapter_model.safetensors.

A layer's matrix W becomes W + scale * B A, scale = lora_alpha / r (rank-stabilised: / sqrt(r)). Source: Hu et al.,
arXiv:2106.09685; Kalajdzievski, arXiv:2312.03732; the file layout of PEFT 0.15.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.json_file import read_json
from hekla.llm.model_config import ModelConfig
from hekla.llm.runner import F32, LoraDelta
from hekla.llm.safetensors import RawTensor, read_safetensors

_NAME = re.compile(r"base_model\.model\.model\.layers\.(\d{1,5})\.([a-z_.]+)\.lora_([AB])(?:\.[a-z]+)?\.weight")
_MATRICES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_DTYPES = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "BF16": np.dtype(ml_dtypes.bfloat16)}
_MOST_RANK = 1024


def read_adapter(path: Path, config: ModelConfig) -> Sequence[LoraDelta]:
    """Return what an adapter adds to each matrix of a model.

    Errors: ModelFileError for files that are damaged or of another model; NotFoundError; UnsupportedError for kinds of
    adapters that are not plain LoRA.
    """
    settings = read_json(path / "adapter_config.json")
    where = str(path / "adapter_config.json")
    _refuse_unsupported(settings, where)
    _, tensors = read_safetensors(path / "adapter_model.safetensors")
    where = str(path / "adapter_model.safetensors")
    pairs: dict[str, dict[str, F32]] = {}
    for name, tensor in tensors.items():
        found = _NAME.fullmatch(name)
        if found is None or found[2] not in _MATRICES:
            raise UnsupportedError(f"an adapter of {quoted(name)}", where=where, cure=f"of {', '.join(_MATRICES)} only")
        if int(found[1]) >= len(config.layers):
            raise ModelFileError(f"{quoted(name)}: the model has {len(config.layers)} layers", where=where)
        matrix = f"blk.{int(found[1])}.{_MATRICES[found[2]]}"
        pairs.setdefault(matrix, {})[found[3]] = _values(name, tensor, where)
    if not pairs:
        raise ModelFileError("the adapter is empty", where=where)
    return [_delta(matrix, pair, settings, config, where) for matrix, pair in sorted(pairs.items())]


def _refuse_unsupported(settings: Mapping[str, Any], where: str) -> None:  # Any: JSON
    if settings.get("peft_type") != "LORA":
        raise UnsupportedError(f"an adapter of type {quoted(settings.get('peft_type'))}", where=where)
    for key in ("use_dora", "fan_in_fan_out", "modules_to_save", "trainable_token_indices", "lora_bias"):
        if settings.get(key):
            raise UnsupportedError(f"an adapter with {key}", where=where)
    if settings.get("bias", "none") != "none":
        raise UnsupportedError(f"an adapter that trains biases ({quoted(settings['bias'])})", where=where)


def _values(name: str, tensor: RawTensor, where: str) -> F32:
    if tensor.dtype not in _DTYPES or len(tensor.shape) != 2:
        raise ModelFileError(f"{quoted(name)}: {tensor.dtype} of shape {list(tensor.shape)}", where=where)
    values: F32 = tensor.data.view(_DTYPES[tensor.dtype]).reshape(tensor.shape).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelFileError(f"{quoted(name)} is not finite", where=where)
    return values


def _delta(
    matrix: str, pair: Mapping[str, F32], settings: Mapping[str, Any], config: ModelConfig, where: str
) -> LoraDelta:
    outputs, inputs = _shape(matrix.rsplit(".", 1)[1], config)
    if set(pair) != {"A", "B"}:
        raise ModelFileError(f"{matrix}: lora_{'B' if 'A' in pair else 'A'} is missing", where=where)
    rank = len(pair["A"])
    if pair["A"].shape != (rank, inputs) or pair["B"].shape != (outputs, rank) or not 0 < rank <= _MOST_RANK:
        raise ModelFileError(
            f"{matrix}: expected A (rank, {inputs}) and B ({outputs}, rank), found {list(pair['A'].shape)} and "
            f"{list(pair['B'].shape)}",
            where=where,
            cure="was it trained for another model?",
        )
    alpha = _by_pattern(matrix, settings, "alpha_pattern", settings.get("lora_alpha"), where)
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    b = pair["B"]
    if matrix.endswith(("attn_q", "attn_k")) and config.layers[0].rotary.is_interleaved:
        # GGUF's llama has each head's two halves interleaved; adapters are trained on rows in their first order.
        halves = b.reshape(-1, 2, config.head_width // 2, rank)
        b = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(outputs, rank))
    return LoraDelta(matrix, pair["A"], b, scale)


def _by_pattern(matrix: str, settings: Mapping[str, Any], key: str, default: object, where: str) -> float:
    """Return a setting that patterns may say otherwise for some modules."""
    ours = matrix.rsplit(".", 1)[1]
    theirs = next(name for name, known in _MATRICES.items() if known == ours)
    path = f"model.layers.{matrix.split('.')[1]}.{theirs}"
    patterns = settings.get(key) or {}
    if not isinstance(patterns, dict) or any(re.escape(name) != name.replace(".", r"\.") for name in patterns):
        raise UnsupportedError(f"{key} other than plain names", where=where)
    value = next((value for name, value in patterns.items() if path.endswith(name)), default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ModelFileError(f"lora_alpha is {quoted(value)}", where=where)
    return float(value)


def _shape(matrix: str, config: ModelConfig) -> tuple[int, int]:
    query, shared = config.heads * config.head_width, config.kv_heads * config.head_width
    return {
        "attn_q": (query, config.width),
        "attn_k": (shared, config.width),
        "attn_v": (shared, config.width),
        "attn_output": (config.width, query),
        "ffn_gate": (config.feed_forward_width, config.width),
        "ffn_up": (config.feed_forward_width, config.width),
        "ffn_down": (config.width, config.feed_forward_width),
    }[matrix]
