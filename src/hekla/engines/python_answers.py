"""What a user's `predict` answered, held against the declared outputs."""

from collections.abc import Sequence

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError, nearest_name
from hekla.protocols.tensor import Array, Tensors, TensorSpec


class Answers:
    """Checks answers, and makes them the caller's own: `predict` may keep what it returned, or return its input."""

    def __init__(self, model: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self._model = model
        self._axes = {spec.name: spec.batch_axis for spec in inputs if spec.batch_axis is not None}
        self._specs = {spec.name: spec for spec in outputs}

    def checked(self, answered: object, inputs: Tensors, wanted: Sequence[str]) -> Tensors:
        """Return copies of the wanted outputs (all for ()). Errors: EngineError naming output, expected and got."""
        if not isinstance(answered, dict):
            raise self._wrong("", "predict to return a dict of arrays", type(answered).__name__)
        for name in answered:
            if name not in self._specs:
                raise EngineError(
                    f"predict returned {name!r}, which no output declares",
                    where=self._model,
                    cure=nearest_name(str(name), self._specs),
                )
        rows = next((inputs[name].shape[axis] for name, axis in self._axes.items() if name in inputs), None)
        found = {}
        for name in wanted or self._specs:
            if name not in answered:
                raise self._wrong(name, f"an array named {name!r}", f"only {sorted(answered)}")
            found[name] = self._array(self._specs[name], answered[name], rows)
        return found

    def _array(self, spec: TensorSpec, value: object, rows: int | None) -> Array:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._wrong(spec.name, "an array", f"{type(value).__name__}: {error}") from None
        try:
            dtype = DType.of(array.dtype).value
        except KeyError:
            dtype = str(array.dtype)
        if array.dtype == object and not isinstance(value, np.ndarray | list):
            dtype = type(value).__name__  # NumPy wraps anything in an object array: name the thing itself
        if dtype != spec.dtype.value:
            raise self._wrong(spec.name, f"datatype {spec.dtype.value}", dtype)
        if not spec.accepts(array.shape):
            raise self._wrong(spec.name, f"shape {list(spec.shape)}", str(list(array.shape)))
        if rows is not None and spec.batch_axis is not None and array.shape[spec.batch_axis] != rows:
            expected = f"{rows} rows on axis {spec.batch_axis}, as many as came in"
            raise self._wrong(spec.name, expected, f"shape {list(array.shape)}")
        if spec.dtype is DType.BYTES:
            return self._bytes(spec, array)
        return np.array(array, spec.dtype.numpy, order="C")  # a copy, in this machine's byte order

    def _bytes(self, spec: TensorSpec, array: Array) -> Array:
        found = np.empty(array.size, np.object_)
        for index, item in enumerate(array.ravel().tolist()):
            if not isinstance(item, bytes | str):
                raise self._wrong(spec.name, "elements of type bytes or str", f"{type(item).__name__} at {index}")
            found[index] = item.encode() if isinstance(item, str) else item
        return found.reshape(array.shape)

    def _wrong(self, name: str, expected: str, got: str) -> EngineError:
        return EngineError(
            f"expected {expected}, got {got}", where=f"{self._model}: output {name!r}" if name else self._model
        )
