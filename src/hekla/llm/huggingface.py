"""Folders as transformers saves them: safetensors in shards, names, AWQ's triples, templates, special tokens."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import ModelFileError, NotFoundError, UnsupportedError, quoted
from hekla.llm.awq import group_size
from hekla.llm.json_file import read_json
from hekla.llm.metadata import Metadata
from hekla.llm.safetensors import RawTensor, read_safetensors
from hekla.llm.tensors import Quantisation, StoredTensor
from hekla.runtime import MappedFile

_PLAIN = {"F32": Quantisation.F32, "F16": Quantisation.F16, "BF16": Quantisation.BF16}
_PREFIX = re.compile(r"^(?:model\.language_model\.|language_model\.model\.|language_model\.|model\.)")
_LAYER = re.compile(r"^layers\.(\d{1,5})\.(.+)\.(weight|bias|qweight|qzeros|scales)$")
_PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_WHOLE = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
_WHOLE["lm_head.weight"] = "output.weight"
_IGNORED = re.compile(r"rotary_emb\.inv_freq$|\.g_idx$")


def read_shards(folder: Path) -> tuple[tuple[MappedFile, ...], Mapping[str, RawTensor]]:
    """Map all safetensors of a folder, as its index says or the one there is.

    Errors: NotFoundError for none; ModelFileError for a tensor that the index puts where it is not.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict) or not all(_is_plain_name(name) for name in places.values()):
            raise ModelFileError("expected a weight_map of files in this folder", where=str(index))
        names = sorted(set(places.values()))
    else:
        places = None
        names = sorted(path.name for path in folder.glob("*.safetensors"))
        if len(names) > 1:
            raise ModelFileError(
                f"expected one .safetensors file, or an index, found {', '.join(names[:5])}", where=str(folder)
            )
    if not names:
        raise NotFoundError("no .safetensors file here", where=str(folder))
    files, found = [], {}
    for name in names:
        file, tensors = read_safetensors(folder / name)
        files.append(file)
        for tensor, raw in tensors.items():
            if places is None or places.get(tensor) == name:
                found[tensor] = raw
    missing = sorted(set(places or ()) - set(found))
    if missing:
        raise ModelFileError(f"tensor {quoted(missing[0])} is not where the index puts it", where=str(index))
    return tuple(files), found


def _is_plain_name(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and "/" not in name and "\\" not in name


def canonical_tensors(
    raw: Mapping[str, RawTensor], norm_names: Mapping[str, str], config: Metadata
) -> tuple[Mapping[str, StoredTensor], list[str]]:
    """Return tensors by the names of `tensors.py`, and the names that mean nothing here.

    AWQ's qweight, qzeros and scales become one tensor. Errors: UnsupportedError naming a quantisation or an element
    type that is not read; ModelFileError for triples that do not fit.
    """
    _check_quantisation(config)
    parts: dict[str, dict[str, RawTensor]] = {}
    unknown = []
    for name, tensor in raw.items():
        place = _canonical(name, norm_names)
        if place is not None:
            parts.setdefault(place[0], {})[place[1]] = tensor
        elif not _IGNORED.search(name):
            unknown.append(name)
    if config.get("tie_word_embeddings") is True:
        parts.pop("output", None)  # some files have the embedding twice
    found = {}
    for stem, kinds in parts.items():
        if "qweight" in kinds:
            found[f"{stem}.weight"] = _awq(f"{stem}.weight", kinds, config)
        for kind in ("weight", "bias"):
            if kind in kinds:
                found[f"{stem}.{kind}"] = stored_plain(f"{stem}.{kind}", kinds[kind], config.where)
    return found, unknown


def _canonical(name: str, norm_names: Mapping[str, str]) -> tuple[str, str] | None:
    short = _PREFIX.sub("", name)
    if short in _WHOLE:
        stem, _, kind = _WHOLE[short].rpartition(".")
        return stem, kind
    match = _LAYER.match(short)
    if match is None:
        return None
    part = _PARTS.get(match[2]) or norm_names.get(match[2])
    return (f"blk.{int(match[1])}.{part}", match[3]) if part else None


def huggingface_name(name: str, norm_names: Mapping[str, str]) -> str:
    """Return what transformers calls a tensor of `tensors.py`."""
    for whole, canonical in _WHOLE.items():
        if name == canonical:
            return whole if whole.startswith("lm_head") else f"model.{whole}"
    _, layer, part, kind = name.split(".")
    names = {canonical: theirs for theirs, canonical in (*_PARTS.items(), *norm_names.items())}
    return f"model.layers.{layer}.{names[part]}.{kind}"


def stored_plain(name: str, raw: RawTensor, where: str) -> StoredTensor:
    """Return a tensor that is not quantised. Errors: UnsupportedError naming another element type."""
    if raw.dtype not in _PLAIN:
        raise UnsupportedError(
            f"tensor {quoted(name)} has the element type {raw.dtype}", where=where, cure=f"known: {', '.join(_PLAIN)}"
        )
    return StoredTensor(name, _PLAIN[raw.dtype], raw.shape, raw.data)


def _awq(name: str, kinds: Mapping[str, RawTensor], config: Metadata) -> StoredTensor:
    weight, zeros, scales = (kinds.get(kind) for kind in ("qweight", "qzeros", "scales"))
    if weight is None or zeros is None or scales is None:
        raise ModelFileError(f"{name}: expected qweight, qzeros and scales, found {sorted(kinds)}", where=config.where)
    is_right = (weight.dtype, zeros.dtype) == ("I32", "I32") and scales.dtype == "F16"
    if not is_right or not len(weight.shape) == len(zeros.shape) == len(scales.shape) == 2 or 0 in weight.shape:
        found = ", ".join(f"{kind} {part.dtype} {list(part.shape)}" for kind, part in sorted(kinds.items()))
        raise ModelFileError(f"{name}: expected matrices of I32, I32 and F16, found {found}", where=config.where)
    outputs, inputs = weight.shape[1] * 8, weight.shape[0]
    tensor = StoredTensor(
        name,
        Quantisation.AWQ4,
        (outputs, inputs),
        weight.data,
        scales=scales.data.view(np.float16).reshape(scales.shape),
        zeros=zeros.data.reshape(zeros.shape[0], -1),
    )
    group = group_size(tensor)
    stated = (config.table("quantization_config") or Metadata({}, config.where)).get("group_size")
    if isinstance(stated, int) and stated > 0 and stated != group:
        raise ModelFileError(
            f"{name}: expected groups of {stated}, the scales are for groups of {group}", where=config.where
        )
    return tensor


def _check_quantisation(config: Metadata) -> None:
    """Refuse quantisations other than AWQ's own of 4 bits."""
    table = config.table("quantization_config")
    if table is None:
        return
    method, bits = table.text("quant_method", ""), table.integer("bits", 4)
    version = table.text("version", "gemm").lower()
    if method != "awq" or bits != 4 or version != "gemm":
        raise UnsupportedError(
            f"the quantisation {quoted(method)} of {bits} bits, version {quoted(version)}",
            where=table.where,
            cure="known: awq of 4 bits, version gemm",
        )


def with_generation_config(folder: Path, config: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Return a config.json with the end tokens that generation_config.json adds."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return config
    ends: list[Any] = []
    for found in (config.get("eos_token_id"), read_json(path).get("eos_token_id")):
        ends += found if isinstance(found, list) else [] if found is None else [found]
    return {**config, "eos_token_id": ends} if ends else config


def huggingface_templates(folder: Path) -> Mapping[str, str]:
    """Return the chat templates by name, "" the usual one. Errors: ModelFileError for a list that is none."""
    alone = folder / "chat_template.jinja"
    if alone.is_file():
        try:
            return {"": alone.read_text("utf-8")}
        except ValueError as error:
            raise ModelFileError(f"expected UTF-8 ({error})", where=str(alone)) from None
    found = _tokenizer_config(folder).get("chat_template")
    if isinstance(found, str):
        return {"": found}
    if not isinstance(found, list):
        return {}
    rows = {row.get("name"): row.get("template") for row in found if isinstance(row, dict)}
    usual = rows.pop("default", None)
    if not isinstance(usual, str):
        return {}
    return {"": usual, **{str(name): text for name, text in rows.items() if isinstance(text, str)}}


def huggingface_special_texts(folder: Path) -> Mapping[str, str]:
    """Return the texts of `bos_token` and the like."""
    table, found = _tokenizer_config(folder), {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        value = table.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            found[name] = text
    return found


def _tokenizer_config(folder: Path) -> dict[str, Any]:  # Any: JSON
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}
