"""The sizes every kernel is tried at: 0, 1, and one below, at and above each vector width and tile."""

import numpy as np


def around(*widths: int) -> list[int]:
    """Return 0, 1, one below, at and above each width, and one size of several widths and a rest."""
    found = {0, 1}
    for width in widths:
        found |= {width - 1, width, width + 1, 3 * width + 5}
    return sorted(found)


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """Return normal floats, or integers over the whole range of an integer type."""
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)


def pairs(rng: np.random.Generator, sizes: list[int], dtype: type) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return two vectors of each size."""
    return [(normal(rng, (n,), dtype), normal(rng, (n,), dtype)) for n in sizes]
