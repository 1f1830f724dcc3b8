"""HDF5 as ann-benchmarks lays it out: data set `train` (n, d) holds the vectors, or the one that is named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hekla.vector.errors import DamagedError, PointError
from hekla.vector.importing.source import Arrays, Names, needed

_UNREADABLE = (OSError, RuntimeError, LookupError, TypeError, ValueError)  # what h5py raises of damaged files


class Hdf5Source:
    """A data set of a file. Errors: UnsupportedError without h5py; DamagedError; PointError."""

    def __init__(self, path: Path, names: Names) -> None:
        h5py = needed("h5py", "h5py", "HDF5")
        try:
            self._file: Any = h5py.File(path, "r")  # Any: h5py ships no types
        except _UNREADABLE as error:
            raise DamagedError(f"is no HDF5 file: {error}", where=str(path)) from error
        name = names.vector or "train"
        try:
            known = sorted(self._file)
            self._set: Any = self._file[name] if name in known else None
            shape: tuple[int, ...] = getattr(self._set, "shape", ())
        except _UNREADABLE as error:
            raise DamagedError(f"is damaged: {error}", where=str(path)) from error
        if name not in known:
            raise PointError(f"has no data set {name!r}", where=str(path), cure=f"it has: {', '.join(known)}")
        if len(shape) != 2:
            raise PointError(f"data set {name!r} is not (points, dimension)", where=str(path))
        self._where, self._into = str(path), names.into
        self.total, self.done = int(shape[0]), 0

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the rows."""
        for first in range(0, self.total, points):
            try:
                rows = np.asarray(self._set[first : first + points])
            except _UNREADABLE as error:
                raise DamagedError(f"cannot be read: {error}", where=f"{self._where}, row {first}") from error
            self.done += len(rows)
            yield Arrays({self._into: rows})
