"""What near means, and what is returned as a distance: the smaller, the nearer, for every metric."""

import enum

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import DtypeError, InputError, ShapeError

Floats = NDArray[np.float32]


class Metric(enum.Enum):
    """A distance. The value is its number in files."""

    L2 = 0  # squared Euclidean distance
    DOT = 1  # minus the inner product
    COSINE = 2  # 1 - cosine; of a zero vector with anything 1
    MANHATTAN = 3  # sum of absolute differences; exact search only
    HAMMING = 4  # bits that differ, of vectors of whole bytes (u8); exact search only


def as_rows(vectors: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", dimension: int, where: str) -> Floats:
    """Return (n, dimension) f32, dense, from f32, f16, i8 or anything NumPy turns into f32 without a string.

    Errors: ShapeError; DtypeError; InputError naming the first row that has NaN or an infinity.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ShapeError(where, expected=f"(n, {dimension})", got=vectors.shape)
    if vectors.dtype.kind not in "fiu" and vectors.dtype.name != "bfloat16":
        raise DtypeError(where, expected="a number type", got=str(vectors.dtype))
    rows = np.ascontiguousarray(vectors, np.float32)
    sums = np.einsum("ij,ij->i", rows, rows)  # an f32 that overflows here would overflow in a distance too
    if not np.isfinite(sums).all():
        wrong = int(np.flatnonzero(~np.isfinite(sums))[0])
        raise InputError("has NaN, infinity or a length past what f32 holds", where=f"{where}[{wrong}]")
    return rows


def normalised(rows: Floats) -> Floats:
    """Return rows of length 1; zero rows stay as they are."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    lengths[lengths == 0] = 1
    return np.asarray(rows / lengths[:, None], np.float32)
