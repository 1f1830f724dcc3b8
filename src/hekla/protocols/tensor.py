"""Tensors as they cross a seam: NumPy views, described by specs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hekla.base.dtypes import DType

# Element types differ from tensor to tensor and are checked against the spec at run time.
Array = NDArray[Any]
Tensors = Mapping[str, Array]

ANY = -1  # an extent the request chooses, as the Open Inference Protocol writes it


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and shape of one input or output.

    `shape` counts every axis, the batch axis too; `ANY` (-1) is an extent the request chooses.
    `batch_axis` is the axis along which requests may be joined, None where they may not.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    batch_axis: int | None = None
    optional: bool = False

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """True if an array of that shape fits this spec."""
        return len(shape) == len(self.shape) and all(
            want in (ANY, got) for want, got in zip(self.shape, shape, strict=True)
        )
