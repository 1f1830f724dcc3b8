"""Does a request fit what the model takes? Asked before anything is queued, so that bad requests have no neighbours."""

from collections.abc import Sequence

from hekla.base.dtypes import DType
from hekla.base.errors import DtypeError, InputError, ShapeError, nearest_name
from hekla.protocols.tensor import ANY, Array, Tensors, TensorSpec


def check_inputs(specs: Sequence[TensorSpec], inputs: Tensors) -> None:
    """Return if the inputs are exactly what the specs say.

    Errors: InputError for a missing or unknown name, DtypeError, ShapeError; `where` names the input.
    """
    matched = 0
    for spec in specs:
        array = inputs.get(spec.name)
        if array is None:
            if spec.optional:
                continue
            raise InputError(
                f"input {spec.name!r} is missing",
                where="$.inputs",
                cure=f"the model takes {', '.join(_describe(s) for s in specs)}",
            )
        matched += 1
        if array.dtype != spec.dtype.numpy:
            raise DtypeError(f"input {spec.name!r}", expected=spec.dtype.value, got=_dtype_name(array))
        if not spec.accepts(array.shape):
            raise ShapeError(f"input {spec.name!r}", expected=str(list(spec.shape)), got=array.shape)
    if matched != len(inputs):
        known = [spec.name for spec in specs]
        for name in inputs:
            if name not in known:
                raise InputError(f"unknown input {name!r}", where="$.inputs", cure=nearest_name(name, known))


def check_outputs(specs: Sequence[TensorSpec], wanted: Sequence[str]) -> None:
    """Return if every output asked for exists and is asked for once. Errors: InputError."""
    known = {spec.name for spec in specs}
    for index, name in enumerate(wanted):
        if name not in known:
            raise InputError(
                f"unknown output {name!r}", where=f"$.outputs[{index}].name", cure=nearest_name(name, known)
            )
        if name in wanted[:index]:
            raise InputError(f"output {name!r} is asked for twice", where=f"$.outputs[{index}].name")


def _describe(spec: TensorSpec) -> str:
    shape = ", ".join("any" if extent == ANY else str(extent) for extent in spec.shape)
    return f"{spec.name!r} {spec.dtype.value} [{shape}]"


def _dtype_name(array: Array) -> str:
    try:
        return str(DType.of(array.dtype).value)
    except KeyError:
        return str(array.dtype)
