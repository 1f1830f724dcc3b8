"""What model.toml declares, held against what a model's own file says."""

from collections.abc import Collection
from dataclasses import replace

from hekla.base.errors import ModelFileError, nearest_name
from hekla.engines.options import config_place
from hekla.protocols.engine import EngineSource
from hekla.protocols.tensor import ANY, TensorSpec

Specs = tuple[TensorSpec, ...]


def agreed_specs(source: EngineSource, inputs: Specs, outputs: Specs, unranked: Collection[str]) -> tuple[Specs, Specs]:
    """Return the inputs and outputs of an engine, from its file's and from the declared ones.

    A declaration may leave tensors out, may narrow an extent the file leaves open, may give the rank of an unranked
    tensor and may state batch axes. Where none states any, axis 0 is the batch axis of all if it is open in all.
    Errors: ModelFileError, with both values, where declaration and file disagree.
    """
    found_in = _merged(source, "inputs", inputs, source.inputs, unranked)
    found_out = _merged(source, "outputs", outputs, source.outputs, unranked)
    found = found_in + found_out
    if all(spec.batch_axis is None for spec in found):
        axis = 0 if inputs and all(spec.shape[:1] == (ANY,) for spec in found) else None
        return (
            tuple(replace(spec, batch_axis=axis) for spec in found_in),
            tuple(replace(spec, batch_axis=axis) for spec in found_out),
        )
    for spec in found_out:
        if spec.batch_axis is None:
            raise ModelFileError(
                "no batch axis, while other tensors of the model have one",
                where=_place(source, "outputs", spec.name),
                cure="declare `batch_axis` for every output, or for no tensor",
            )
    if all(spec.batch_axis is None for spec in found_in):
        raise ModelFileError("the outputs have batch axes and no input has one", where=_place(source, "inputs", ""))
    return found_in, found_out


def _merged(source: EngineSource, table: str, found: Specs, declared: Specs, unranked: Collection[str]) -> Specs:
    names = [spec.name for spec in found]
    for spec in declared:
        if spec.name not in names:
            cure = nearest_name(spec.name, names)
            raise ModelFileError(
                "the model's file has no such tensor", where=_place(source, table, spec.name), cure=cure
            )
    by_name = {spec.name: spec for spec in declared}
    return tuple(_merge(source, table, spec, by_name.get(spec.name), spec.name in unranked) for spec in found)


def _merge(source: EngineSource, table: str, file: TensorSpec, said: TensorSpec | None, unranked: bool) -> TensorSpec:
    where = _place(source, table, file.name)
    if said is None:
        if unranked and not file.shape:
            raise ModelFileError(
                "the model's file does not say the shape", where=where, cure="declare it in model.toml"
            )
        return file
    if said.dtype is not file.dtype:
        raise ModelFileError(f"declared {said.dtype.value}, but the model's file says {file.dtype.value}", where=where)
    fits = len(said.shape) == len(file.shape) and all(
        have in (ANY, want) for want, have in zip(said.shape, file.shape, strict=True)
    )
    if not fits and not (unranked and not file.shape):
        raise ModelFileError(
            f"declared shape {list(said.shape)}, but the model's file says {list(file.shape)}",
            where=where,
            cure=f"{ANY} in the file may be declared as a number, nothing else may differ",
        )
    check_batch_axis(said, where)
    return replace(said, optional=False)


def check_batch_axis(spec: TensorSpec, where: str) -> None:
    """Errors: ModelFileError unless the batch axis is None or names an open extent of the shape."""
    axis = spec.batch_axis
    if axis is not None and not (0 <= axis < len(spec.shape) and spec.shape[axis] == ANY):
        raise ModelFileError(
            f"batch axis {axis} of shape {list(spec.shape)}",
            where=where,
            cure=f"the batch axis must exist and be {ANY}",
        )


def _place(source: EngineSource, table: str, name: str) -> str:
    return f"{config_place(source)}: [[{table}]] {name}".rstrip()
