"""How requests of one model are joined into a batch and how its outputs are split again."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hekla.base.errors import ConfigError, EngineError, InputError, nearest_name
from hekla.protocols.tensor import ANY, Array, Tensors, TensorSpec
from hekla.serve.config import BatchingConfig
from hekla.serve.execution.work import Work


class BatchLayout:
    """Joins and splits along the batch axes the specs state. Batching is on where `max_batch` is over 1.

    A request's outputs are views of the batch's. An output that varies with a padded axis keeps the padded length.
    Errors of the constructor: ConfigError if batching is asked for and a tensor has no batch axis, or if what is to be
    padded is not there.
    """

    def __init__(
        self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batching: BatchingConfig, where: str
    ) -> None:
        self.enabled = batching.max_batch > 1
        self.max_rows = batching.max_batch
        self._input_axis = {spec.name: spec.batch_axis for spec in inputs if spec.batch_axis is not None}
        self._output_axis = {spec.name: spec.batch_axis for spec in outputs if spec.batch_axis is not None}
        self._pad = batching.pad
        if self.enabled:
            fixed = [spec.name for spec in (*inputs, *outputs) if spec.batch_axis is None]
            if fixed:
                raise ConfigError(
                    f"{', '.join(map(repr, fixed))} have no batch axis, so requests cannot be joined",
                    where=f"{where}: [batching].max_batch",
                    cure="set it to 1, or give each tensor a batch_axis",
                )
        self._check_pad(inputs, where)
        # Nearly every model's rows all have one shape: then every request has the same key, and the time of a call
        # depends on its rows alone.
        self.one_shape = not self._pad and all(
            not spec.optional and all(e != ANY or a == spec.batch_axis for a, e in enumerate(spec.shape))
            for spec in inputs
        )

    def describe(self, inputs: Tensors) -> tuple[int, object, tuple[int, ...]]:
        """Return (rows, key, lengths along padded axes): requests with equal keys may share a batch.

        Errors: InputError if the inputs disagree about their rows or there are more rows than a batch may have.
        """
        rows = 0
        first = ""
        for name, axis in self._input_axis.items():
            array = inputs.get(name)
            if array is None:
                continue
            extent = array.shape[axis]
            if not first:
                first, rows = name, extent
            elif extent != rows:
                raise InputError(f"has {extent} rows, but input {first!r} has {rows}", where=f"input {name!r}")
        if not first:
            rows = 1
        if not self.enabled:
            return rows, None, self._lengths(inputs)
        if rows > self.max_rows:
            raise InputError(
                f"has {rows} rows, more than the largest batch of the model, {self.max_rows}",
                where=f"input {first!r}",
                cure="send fewer rows in a request",
            )
        if self.one_shape:
            return rows, None, ()
        lengths = self._lengths(inputs)
        return rows, self._key(inputs, lengths), lengths

    def join(self, works: Sequence[Work], copied: Counter[str]) -> Tensors:
        """Return the inputs of all works as one batch; bytes copied for it are counted by reason."""
        if len(works) == 1 and not self._pad:
            return works[0].inputs
        joined: dict[str, Array] = {}
        for name in works[0].inputs:
            arrays = [work.inputs[name] for work in works]
            targets = self._padded_extents(name, works)
            if targets:
                joined[name] = self._join_padded(name, arrays, targets, copied)
            elif len(arrays) == 1:
                joined[name] = arrays[0]
            else:
                batch = np.concatenate(arrays, axis=self._input_axis[name])
                copied["join"] += batch.nbytes
                joined[name] = batch
        return joined

    def split(self, outputs: Tensors, works: Sequence[Work]) -> list[Tensors]:
        """Return each work's part of the outputs, as views.

        Errors: EngineError if the engine answered another number of rows than it was given.
        """
        if len(works) == 1:
            return [outputs]
        rows = sum(work.rows for work in works)
        for name, array in outputs.items():
            axis = self._output_axis.get(name)
            if axis is None:
                raise EngineError("is not declared, and nobody asked for it", where=f"output {name!r}")
            if array.ndim <= axis or array.shape[axis] != rows:
                raise EngineError(
                    f"answered shape {list(array.shape)} to a batch of {rows} rows", where=f"output {name!r}"
                )
        parts: list[Tensors] = []
        start = 0
        for work in works:
            stop = start + work.rows
            parts.append({name: self._part(name, array, start, stop) for name, array in outputs.items()})
            start = stop
        return parts

    def _check_pad(self, inputs: Sequence[TensorSpec], where: str) -> None:
        specs = {spec.name: spec for spec in inputs}
        for index, pad in enumerate(self._pad):
            place = f"{where}: [batching].pad[{index}]"
            spec = specs.get(pad.input)
            if spec is None:
                raise ConfigError(f"{pad.input!r} is no input", where=place, cure=nearest_name(pad.input, specs))
            if pad.axis >= len(spec.shape) or pad.axis == spec.batch_axis or spec.shape[pad.axis] != ANY:
                raise ConfigError(
                    f"axis {pad.axis} of {pad.input!r}, shape {list(spec.shape)}, cannot be padded",
                    where=place,
                    cure="name an axis whose length the request chooses and that is not the batch axis",
                )
            if not spec.dtype.itemsize:
                raise ConfigError(f"{pad.input!r} is {spec.dtype.value}, which cannot be padded", where=place)

    def _part(self, name: str, array: Array, start: int, stop: int) -> Array:
        axis = self._output_axis[name]
        if axis == 0:
            return array[start:stop]
        return array[(slice(None),) * axis + (slice(start, stop),)]

    def _lengths(self, inputs: Tensors) -> tuple[int, ...]:
        lengths = []
        for pad in self._pad:
            array = inputs.get(pad.input)
            lengths.append(0 if array is None else -(-array.shape[pad.axis] // pad.multiple) * pad.multiple)
        return tuple(lengths)

    def _key(self, inputs: Tensors, lengths: tuple[int, ...]) -> object:
        padded = {(pad.input, pad.axis) for pad in self._pad}
        shapes = tuple(
            (name, *(ANY if a == self._input_axis[name] or (name, a) in padded else e for a, e in enumerate(x.shape)))
            for name, x in sorted(inputs.items())
        )
        # Within a power of two of one another, so that padding never more than doubles the work.
        return shapes, tuple(length.bit_length() for length in lengths)

    def _padded_extents(self, name: str, works: Sequence[Work]) -> dict[int, tuple[int, float]]:
        return {
            pad.axis: (max(work.lengths[index] for work in works), pad.value)
            for index, pad in enumerate(self._pad)
            if pad.input == name
        }

    def _join_padded(
        self, name: str, arrays: list[Array], targets: dict[int, tuple[int, float]], copied: Counter[str]
    ) -> Array:
        shape = list(arrays[0].shape)
        axis = self._input_axis.get(name, 0)
        shape[axis] = sum(array.shape[axis] for array in arrays)
        for padded_axis, (extent, _) in targets.items():
            shape[padded_axis] = extent
        if len(arrays) == 1 and tuple(shape) == arrays[0].shape:
            return arrays[0]
        value = next(iter(targets.values()))[1]
        batch = np.full(shape, value, arrays[0].dtype)
        copied["pad"] += batch.nbytes
        start = 0
        for array in arrays:
            place = [slice(0, extent) for extent in array.shape]
            place[axis] = slice(start, start + array.shape[axis])
            batch[tuple(place)] = array
            start += array.shape[axis]
        return batch
