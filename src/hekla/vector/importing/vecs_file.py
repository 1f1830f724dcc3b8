"""fvecs, bvecs and ivecs (corpus-texmex.irisa.fr): each vector begins with its dimension.

offset  size  meaning (little-endian), again for each vector
0       4     d, i32
4       d s   the numbers: f32 (fvecs), u8 (bvecs), i32 (ivecs); s is 4, 1, 4
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from hekla.vector.errors import DamagedError
from hekla.vector.importing.source import Arrays, Names
from hekla.vector.schema import MAX_DIMENSION

_DTYPES: Mapping[str, str] = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}


class VecsSource:
    """A file of vectors of one dimension. Errors: DamagedError."""

    def __init__(self, path: Path, names: Names) -> None:
        self._path, self._into = path, names.into
        self._dtype = np.dtype(_DTYPES.get(path.suffix.lower(), "<f4"))
        size = path.stat().st_size
        with path.open("rb") as file:
            self._dimension = int.from_bytes(file.read(4), "little", signed=True)
        if size and not 1 <= self._dimension <= MAX_DIMENSION:
            raise DamagedError(f"begins with dimension {self._dimension}", where=f"{path} at 0")
        self._row = 4 + self._dimension * self._dtype.itemsize
        if size % self._row:
            raise DamagedError(f"{size} bytes are no whole number of vectors of {self._row}", where=str(path))
        self.total, self.done = size // self._row, 0

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the vectors."""
        with self._path.open("rb") as file:
            while self.done < self.total:
                rows = min(points, self.total - self.done)
                data = file.read(rows * self._row)
                if len(data) != rows * self._row:
                    raise DamagedError("breaks off", where=str(self._path))
                table = np.frombuffer(data, np.uint8).reshape(rows, self._row)
                wrong = np.flatnonzero(table[:, :4].copy().view("<i4").ravel() != self._dimension)
                if len(wrong):
                    at = (self.done + int(wrong[0])) * self._row
                    raise DamagedError(
                        f"holds a vector that is not {self._dimension} long", where=f"{self._path} at {at}"
                    )
                self.done += rows
                yield Arrays({self._into: table[:, 4:].copy().view(self._dtype)})
