"""HDF5 as ann-benchmarks lays it out: data set `train` (n, d) holds the vectors, or the one that is named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hekla.vector.errors import DamagedError, PointError
from hekla.vector.importing.source import Arrays, Names, needed


class Hdf5Source:
    """A data set of a file. Errors: UnsupportedError without h5py; DamagedError; PointError."""

    def __init__(self, path: Path, names: Names) -> None:
        h5py = needed("h5py", "h5py", "HDF5")
        try:
            self._file: Any = h5py.File(path, "r")  # Any: h5py ships no types
        except OSError as error:
            raise DamagedError(f"is no HDF5 file: {error}", where=str(path)) from error
        name = names.vector or "train"
        if name not in self._file:
            known = ", ".join(sorted(self._file))
            raise PointError(f"has no data set {name!r}", where=str(path), cure=f"it has: {known}")
        self._set: Any = self._file[name]
        if len(getattr(self._set, "shape", ())) != 2:
            raise PointError(f"data set {name!r} is not (points, dimension)", where=str(path))
        self._where, self._into = str(path), names.into
        self.total, self.done = int(self._set.shape[0]), 0

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the rows."""
        for first in range(0, self.total, points):
            try:
                rows = np.asarray(self._set[first : first + points])
            except OSError as error:
                raise DamagedError(f"cannot be read: {error}", where=f"{self._where}, row {first}") from error
            self.done += len(rows)
            yield Arrays({self._into: rows})
