"""`quantise_model`: a model's file with its weights stored in another way.

GGUF to GGUF, with everything else of the file as it was; any model to a folder of AWQ safetensors. Matrices of the
layers get the kind that was asked for. A row that is no whole number of blocks of 256 gets the kind of 32 that is
nearest (Q4_K: Q5_0, Q5_K: Q5_1, Q6_K: Q8_0). The embedding and the head, which are read for every token and suffer
most, keep 8 bits where fewer were asked for. What has one dimension stays F32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.dequantise import dequantised
from hekla.llm.gguf import read_gguf
from hekla.llm.gguf_writer import TensorToWrite, write_gguf
from hekla.llm.quantise import QUANTISE, quantised
from hekla.llm.tensors import Quantisation, StoredTensor

KINDS = {kind.name.lower(): kind for kind in QUANTISE}  # by the names that users write
# `general.file_type`, as llama.cpp numbers what most of a file is of.
_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q4_K": 14, "Q5_K": 16}
_FILE_TYPES |= {"Q6_K": 18, "BF16": 32}
_OF_32 = {
    Quantisation.Q4_K: Quantisation.Q5_0,
    Quantisation.Q5_K: Quantisation.Q5_1,
    Quantisation.Q6_K: Quantisation.Q8_0,
}
_WHOLE = (Quantisation.F32, Quantisation.F16, Quantisation.BF16)
_ENDS = ("token_embd.weight", "output.weight")


@dataclass(frozen=True, slots=True)
class QuantisedModel:
    """What was written."""

    path: Path
    kind: str
    tensors: dict[str, int]  # how many of each kind
    bytes_before: int
    bytes_after: int


def quantise_gguf(
    source: Path, target: Path, kind: Quantisation, progress: Callable[[str], None] = lambda _: None
) -> QuantisedModel:
    """Write a GGUF with its weights of another kind. Cost: one tensor as f32 at a time.

    Errors: ModelFileError, UnsupportedError of the reader; ModelFileError for a target that is the source.
    """
    if target.exists() and target.samefile(source):
        raise ModelFileError("the target is the source", where=str(target), cure="name another file")
    file = read_gguf(source)
    rows = [_row(tensor, kind_for(tensor, kind), progress) for tensor in file.tensors.values()]
    metadata = {key: value for key, value in file.metadata.items() if key != "general.alignment"}
    metadata |= {"general.file_type": _FILE_TYPES[kind.name], "general.quantization_version": 2}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(target, metadata, rows)
    counted: dict[str, int] = {}
    for row in rows:
        counted[row.quantisation.name] = counted.get(row.quantisation.name, 0) + 1
    return QuantisedModel(target, kind.name, counted, source.stat().st_size, target.stat().st_size)


def kind_for(tensor: StoredTensor, kind: Quantisation) -> Quantisation:
    """Return how a tensor is stored where a kind was asked for."""
    if len(tensor.shape) == 1 or not tensor.name.endswith(".weight"):
        return Quantisation.F32
    if tensor.name in _ENDS and kind not in _WHOLE:
        kind = Quantisation.Q8_0
    if tensor.shape[-1] % kind.block_values:
        kind = _OF_32.get(kind, kind)
    return kind if tensor.shape[-1] % kind.block_values == 0 else Quantisation.F16


def _row(tensor: StoredTensor, kind: Quantisation, progress: Callable[[str], None]) -> TensorToWrite:
    def make() -> NDArray[np.uint8]:
        progress(tensor.name)
        if kind is tensor.quantisation:
            return tensor.data
        return quantised(dequantised(tensor), kind)

    return TensorToWrite(tensor.name, kind, tensor.shape, make)


def kind_named(name: str) -> Quantisation:
    """Return a kind by the name that users write. Errors: UnsupportedError listing those that are known."""
    if name.lower() not in KINDS:
        raise UnsupportedError(
            f"{quoted(name)} is no kind that is written", where="--to", cure=f"known: {', '.join([*KINDS, 'awq'])}"
        )
    return KINDS[name.lower()]
