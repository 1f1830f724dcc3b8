"""What is checked of a model before anything of it runs. A violation names tensor, expected, found.

A file that passes has every tensor its architecture needs and no other of its layers, each of the shape and of a kind
that can be computed with, aligned to its elements, with scales that fit its groups; numbers of heads, widths and
tokens that fit one another. `check_target` adds what a machine can do; what fits into its memory is
`resources.plan_memory`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.awq import group_size
from hekla.llm.expected import ExpectedTensor, expected_tensors
from hekla.llm.model_config import ModelConfig
from hekla.llm.tensors import Quantisation, StoredTensor

_WHOLE = frozenset({Quantisation.F32, Quantisation.F16, Quantisation.BF16})
_OF_LAYERS = re.compile(r"^blk\.\d|(?:^|\.)layers\.\d")  # names of a decoder's layers, in either kind of file


class TensorError(ModelFileError):
    """A tensor is not what its architecture needs."""

    def __init__(self, tensor: str, *, expected: str, found: str, where: str) -> None:
        self.tensor, self.expected, self.found = tensor, expected, found
        super().__init__(f"tensor {quoted(tensor)}: expected {expected}, found {found}", where=where)


@dataclass(frozen=True, slots=True)
class TargetKinds:
    """What a runner computes with on a machine."""

    name: str  # "x86_64 with vectors of 512 bits"
    kinds: frozenset[Quantisation]


def check_model(config: ModelConfig, tensors: Mapping[str, StoredTensor], unknown: Iterable[str], where: str) -> None:
    """Check a model's numbers and tensors against one another. Errors: TensorError, ModelFileError."""
    check_config(config, where)
    for name in unknown:
        if _OF_LAYERS.search(name):
            raise TensorError(name, expected=f"no such tensor in a {config.family}", found="one", where=where)
    for name, expected in expected_tensors(config).items():
        tensor = tensors.get(name)
        if tensor is None:
            raise TensorError(name, expected=f"one of shape {list(expected.shape)}", found="none", where=where)
        check_tensor(tensor, expected, where)


def check_config(config: ModelConfig, where: str) -> None:
    """Check that a model's numbers fit one another. Errors: ModelFileError naming both."""
    if config.heads % config.kv_heads:
        raise ModelFileError(f"{config.heads} heads are no multiple of {config.kv_heads} heads of keys", where=where)
    for layer, row in enumerate(config.layers):
        turned, factors = row.rotary.dimensions, len(row.rotary.factors)
        if turned % 2 or turned > config.head_width:
            raise ModelFileError(
                f"layer {layer}: expected an even number of at most {config.head_width} dimensions that turn, "
                f"found {turned}",
                where=where,
            )
        if factors and factors != turned // 2:
            raise ModelFileError(f"layer {layer}: expected {turned // 2} rotary factors, found {factors}", where=where)
    past = sorted(token for token in config.end_tokens if token >= config.vocabulary_tokens)
    if config.begin_token is not None and config.begin_token >= config.vocabulary_tokens:
        past.append(config.begin_token)
    if past:
        raise ModelFileError(f"token {past[0]} is past the vocabulary of {config.vocabulary_tokens}", where=where)


def check_tensor(tensor: StoredTensor, expected: ExpectedTensor, where: str) -> None:
    """Check one tensor's shape, kind, alignment, size and groups. Errors: TensorError."""
    if tensor.shape != expected.shape:
        raise TensorError(
            tensor.name, expected=f"shape {list(expected.shape)}", found=str(list(tensor.shape)), where=where
        )
    if not expected.is_matrix and tensor.quantisation not in _WHOLE:
        raise TensorError(tensor.name, expected="F32, F16 or BF16", found=tensor.quantisation.name, where=where)
    if tensor.quantisation is Quantisation.AWQ4:
        _check_awq(tensor, where)
    alignment = {Quantisation.F32: 4, Quantisation.AWQ4: 4}.get(tensor.quantisation, 2)
    address = int(tensor.data.ctypes.data)
    if address % alignment:
        raise TensorError(
            tensor.name,
            expected=f"data at a multiple of {alignment} bytes",
            found=f"{address % alignment} bytes past one",
            where=where,
        )


def _check_awq(tensor: StoredTensor, where: str) -> None:
    try:
        group = group_size(tensor)
    except ModelFileError as error:
        raise TensorError(tensor.name, expected="scales and zeros that fit", found=error.message, where=where) from None
    if group % 8:
        raise TensorError(tensor.name, expected="groups of a multiple of 8 inputs", found=str(group), where=where)


def check_target(tensors: Mapping[str, StoredTensor], target: TargetKinds, where: str) -> None:
    """Check that a machine computes with every tensor's kind.

    Errors: UnsupportedError naming the tensor, its kind, and those the machine computes with.
    """
    for tensor in tensors.values():
        if tensor.quantisation not in target.kinds:
            raise UnsupportedError(
                f"tensor {quoted(tensor.name)}: {tensor.quantisation.name} is not computed on {target.name}",
                where=where,
                cure=f"convert it to one of {', '.join(sorted(kind.name for kind in target.kinds))}",
            )
