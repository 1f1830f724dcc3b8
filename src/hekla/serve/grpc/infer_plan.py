"""What a ModelInferRequest says beside its tensors' bytes, checked and ready to be applied to the next one's bytes.

Workload: a client sends the same names, datatypes and shapes call after call, and only the bytes change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import DtypeError, InputError, UnsupportedError
from hekla.protocols.tensor import Array
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.oip.parameters import read_standing
from hekla.serve.oip.shared_memory import SharedRange, shared_range
from hekla.serve.oip.tensors import RawLayout, bytes_array, decode_values, dtype_named
from hekla.serve.request import SequenceStep, Signature

Value = bool | int | float | str

_CONTENTS = {
    DType.BOOL: "bool_contents",
    DType.INT8: "int_contents",
    DType.INT16: "int_contents",
    DType.INT32: "int_contents",
    DType.INT64: "int64_contents",
    DType.UINT8: "uint_contents",
    DType.UINT16: "uint_contents",
    DType.UINT32: "uint_contents",
    DType.UINT64: "uint64_contents",
    DType.FP32: "fp32_contents",
    DType.FP64: "fp64_contents",
    DType.BYTES: "bytes_contents",
}


@dataclass(frozen=True, slots=True)
class TensorAnswer:
    """An answer of one tensor and nothing else: its message up to the id, given this version, dtype and shape."""

    version: str
    name: str
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    head: bytes


@dataclass(slots=True)
class InferPlan:
    """A request without bytes. `raws` are the inputs whose bytes come in raw_input_contents, in that order."""

    model: str
    version: str
    raws: tuple[tuple[str, RawLayout], ...]
    typed: dict[str, Array]  # inputs whose values came in `contents`
    shared: tuple[tuple[str, RawLayout, SharedRange], ...]
    outputs: tuple[str, ...]
    shared_outputs: Mapping[str, SharedRange]
    priority: int = 0
    timeout_us: int = 0
    sequence: SequenceStep | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    signature: Signature = field(default_factory=Signature)
    last_answer: TensorAnswer | None = None  # a note on how the last such request was answered


def plan_of(message: pb.ModelInferRequest, has_raws: bool) -> InferPlan:
    """Return the plan of a request; `has_raws` if raw_input_contents came with it.

    Errors: InputError, ShapeError and DtypeError naming the place.
    """
    raws: list[tuple[str, RawLayout]] = []
    typed: dict[str, Array] = {}
    shared: list[tuple[str, RawLayout, SharedRange]] = []
    seen: set[str] = set()
    for number, tensor in enumerate(message.inputs):
        where = f"$.inputs[{number}]"
        if tensor.name in seen:
            raise InputError(f"input {tensor.name!r} is given twice", where=where)
        seen.add(tensor.name)
        dtype = dtype_named(where, tensor.datatype)
        place = shared_range(values_of(where, tensor.parameters), f"{where}.parameters") if tensor.parameters else None
        has_contents = tensor.HasField("contents")
        if has_contents and has_raws:  # in Triton's words: its example programs look for them
            raise InputError(
                "contents field must not be specified when using raw_input_contents"
                f" for {tensor.name!r} for model {message.model_name!r}",
                where=f"{where}.contents",
            )
        if has_contents and place is not None:
            raise InputError(f"input {tensor.name!r} has both contents and shared memory", where=f"{where}.contents")
        if place is not None:
            shared.append((tensor.name, RawLayout(where, dtype, tensor.shape), place))
        elif has_raws:
            raws.append((tensor.name, RawLayout(where, dtype, tensor.shape)))
        else:
            typed[tensor.name] = _typed(where, dtype, list(tensor.shape), tensor.contents)
    outputs, shared_outputs = _outputs(message)
    plan = InferPlan(
        message.model_name, message.model_version, tuple(raws), typed, tuple(shared), outputs, shared_outputs
    )
    if message.parameters:
        standing = read_standing(values_of("$", message.parameters))
        plan.priority, plan.timeout_us, plan.sequence, plan.parameters = standing
    return plan


# The parameter maps of the different messages are of one generated kind that has no nameable type.
def values_of(where: str, parameters: Any) -> dict[str, Any]:
    """Return a parameter map as plain values. Errors: InputError for a parameter without a value."""
    values: dict[str, Any] = {}  # Value, and bytes for a repository's files
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise InputError("the parameter has no value", where=f"{where}.parameters.{name}")
        values[name] = getattr(parameter, kind)
    return values


def _outputs(message: pb.ModelInferRequest) -> tuple[tuple[str, ...], dict[str, SharedRange]]:
    names: list[str] = []
    ranges: dict[str, SharedRange] = {}
    for number, output in enumerate(message.outputs):
        where = f"$.outputs[{number}]"
        if output.name in names:
            raise InputError(f"output {output.name!r} is requested twice", where=where)
        names.append(output.name)
        if output.parameters:
            values = values_of(where, output.parameters)
            if values.get("classification"):
                raise UnsupportedError("classification of outputs", where=f"{where}.parameters", cure="ask for scores")
            place = shared_range(values, f"{where}.parameters")
            if place is not None:
                ranges[output.name] = place
    return tuple(names), ranges


def _typed(where: str, dtype: DType, shape: list[int], contents: pb.InferTensorContents) -> Array:
    wanted = _CONTENTS.get(dtype)
    if wanted is None:
        raise DtypeError(
            f"{where}.contents", expected="one that contents can carry", got=f"{dtype.value}: send raw bytes"
        )
    for descriptor, _ in contents.ListFields():
        if descriptor.name != wanted:
            raise InputError(f"a {dtype.value} tensor is sent in {wanted}", where=f"{where}.contents.{descriptor.name}")
    values = list(getattr(contents, wanted))
    if dtype is DType.BYTES:
        return bytes_array(where, shape, values)
    return decode_values(where, dtype, shape, values)
