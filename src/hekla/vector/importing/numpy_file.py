"""NumPy's own files: .npy with vectors (n, d); .npz with an array of vectors and, if there is one, an array of ids.

In .npz the vectors are the array named `vectors`, or the only one with two axes; ids the array named `id` or `ids`.
An archive's members are read as streams: it is never in memory as a whole.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from hekla.vector.errors import DamagedError, PointError
from hekla.vector.importing.source import Arrays, Names
from hekla.vector.rows import AnyArray

# What NumPy and zipfile raise of bytes that no writer of theirs wrote: headers are parsed as Python.
_UNREADABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class NpySource:
    """A .npy file, mapped. Errors: DamagedError; PointError for what is no array of vectors."""

    def __init__(self, path: Path, names: Names) -> None:
        try:
            self._array: AnyArray = np.load(path, mmap_mode="r", allow_pickle=False)
        except _UNREADABLE as error:
            raise DamagedError(f"is no .npy file of numbers: {error}", where=str(path)) from error
        if self._array.ndim != 2:
            raise PointError(f"expected an array (points, dimension), got {self._array.shape}", where=str(path))
        self._into = names.into
        self.total, self.done = len(self._array), 0

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the rows."""
        for first in range(0, self.total, points):
            rows = np.ascontiguousarray(self._array[first : first + points])
            self.done += len(rows)
            yield Arrays({self._into: rows})


class _Member:
    """One array of an archive, read along its first axis."""

    def __init__(self, archive: zipfile.ZipFile, name: str, where: str) -> None:
        self._where = f"{where}: {name}"
        try:
            self._file: IO[bytes] = archive.open(f"{name}.npy")
            version = npy.read_magic(self._file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            self.shape, is_fortran, self._dtype = read(self._file)
        except _UNREADABLE as error:
            raise DamagedError(f"is no array: {error}", where=self._where) from error
        if is_fortran and len(self.shape) > 1:
            raise PointError("is in Fortran order", where=self._where, cure="save it with np.ascontiguousarray")
        if self._dtype.hasobject:
            raise PointError("holds objects, not numbers", where=self._where)

    def take(self, rows: int) -> AnyArray:
        """Return the next rows. Errors: DamagedError where the file breaks off."""
        shape = (rows, *self.shape[1:])
        wanted = math.prod(shape) * self._dtype.itemsize
        try:
            data = self._file.read(wanted)
        except _UNREADABLE as error:
            raise DamagedError(f"cannot be read: {error}", where=self._where) from error
        if len(data) != wanted:
            raise DamagedError("breaks off", where=self._where)
        return np.frombuffer(data, self._dtype).reshape(shape) if data else np.zeros(shape, self._dtype)


class NpzSource:
    """A .npz file. Errors: DamagedError; PointError where no array, or more than one, can be the vectors."""

    def __init__(self, path: Path, names: Names) -> None:
        where = str(path)
        try:
            archive = zipfile.ZipFile(path)
        except _UNREADABLE as error:
            raise DamagedError(f"is no .npz file: {error}", where=where) from error
        found = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        wanted = names.vector or ("vectors" if "vectors" in found else "")
        if not wanted:
            tables = [name for name in found if len(_Member(archive, name, where).shape) == 2]
            if len(tables) != 1:
                raise PointError(f"has {len(tables)} arrays of two axes", where=where, cure="say which are the vectors")
            wanted = tables[0]
        if wanted not in found:
            raise PointError(f"has no array {wanted!r}", where=where, cure=f"it has: {', '.join(found)}")
        self._vectors = _Member(archive, wanted, where)
        if len(self._vectors.shape) != 2:
            raise PointError(f"expected (points, dimension), got {self._vectors.shape}", where=f"{where}: {wanted}")
        ids = next((name for name in (names.id, "ids") if name in found), None)
        self._ids = None if ids is None else _Member(archive, ids, where)
        self.total: int = self._vectors.shape[0]
        self.done = 0
        if self._ids is not None and self._ids.shape != (self.total,):
            raise PointError(f"has ids {self._ids.shape} for {self.total} vectors", where=where)
        self._into = names.into

    def chunks(self, points: int) -> Iterator[Arrays]:
        """Yield the rows."""
        while self.done < self.total:
            rows = min(points, self.total - self.done)
            self.done += rows
            ids: Any = None if self._ids is None else self._ids.take(rows)  # Any: numbers, or texts of UUIDs
            yield Arrays({self._into: self._vectors.take(rows)}, ids)
