"""GGUF files, mapped: what they say of themselves, and where their tensors lie. No weight is read or copied.

offset       size         meaning; numbers little-endian
0            4            "GGUF"
4            4            version, u32: 3 (2 has the same bytes)
8            8            number of tensors, u64
16           8            number of metadata pairs, u64
24           ...          the pairs: key (string), kind (u32), value
...          ...          the tensors: name (string), dimensions n (u32, 1 to 4), n extents (u64, innermost first),
                          kind (u32), offset (u64, counts from the data, a multiple of the alignment)
...          padding      to a multiple of `general.alignment` (32 where the file does not say)
...          the rest     the data

A string is its length (u64) and that many bytes of UTF-8. An array is a kind (u32), a count (u64) and the values.
Whatever the file says is checked before it is believed: a count must fit into the bytes that are left, so that a
hostile one costs nothing. Source: ggml's own description, `docs/gguf.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import overload

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.metadata import MetadataValue, NumberArray
from hekla.llm.tensors import Quantisation, StoredTensor
from hekla.runtime import MappedFile

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
LONGEST_KEY = 65_535
LONGEST_TENSOR_NAME = 255  # ggml itself stops at 63
MOST_DIMENSIONS = 4
_LENGTH_BYTES = 8  # of a string
_LEAST_PAIR, _LEAST_TENSOR = 8 + 4 + 1, 8 + 4 + 8 + 4 + 8  # bytes that one takes at least

STRING, ARRAY = 8, 9
NUMBERS: Mapping[int, np.dtype[np.generic]] = {
    kind: np.dtype(code)
    for kind, code in enumerate(["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?", "", "", "<u8", "<i8", "<f8"])
    if code
}
TENSOR_KINDS: Mapping[int, Quantisation] = {
    0: Quantisation.F32,
    1: Quantisation.F16,
    2: Quantisation.Q4_0,
    3: Quantisation.Q4_1,
    6: Quantisation.Q5_0,
    7: Quantisation.Q5_1,
    8: Quantisation.Q8_0,
    12: Quantisation.Q4_K,
    13: Quantisation.Q5_K,
    14: Quantisation.Q6_K,
    30: Quantisation.BF16,
}
# Kinds that exist and are not read, so that a refusal can name them.
_OTHER_KINDS = {4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS"}
_OTHER_KINDS |= {18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16"}
_OTHER_KINDS |= {26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4"}

_CURE = "the file is cut short or damaged: fetch it again"
_U32, _U64, _TWO_U64 = Struct("<I"), Struct("<Q"), Struct("<QQ")


class Strings(Sequence[str]):
    """An array of strings where it lies in the file; each is decoded when it is asked for.

    Errors: ModelFileError for one that is no UTF-8.
    """

    def __init__(self, memory: memoryview, places: NDArray[np.int64], where: str) -> None:
        self._memory, self._places, self._where = memory, places, where  # places: (n, 2) start and end

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Strings": ...
    def __getitem__(self, index: int | slice) -> "str | Strings":
        if isinstance(index, slice):
            return Strings(self._memory, self._places[index], self._where)
        start, end = self._places[index].tolist()
        return _decoded(self._memory[start:end], self._where)

    def __iter__(self) -> Iterator[str]:
        if not len(self):
            return iter(())
        return iter(self._at_once() or self._one_by_one())

    def _at_once(self) -> list[str] | None:
        """Decode all of an array with one call, where it can be told apart afterwards; three times as fast.

        A length from 1 to 127 is one character and seven NULs, which no usual text holds.
        """
        lengths = self._places[:, 1] - self._places[:, 0]
        first, last = int(self._places[0, 0]) - _LENGTH_BYTES, int(self._places[-1, 1])
        is_whole = last - first == int(lengths.sum()) + _LENGTH_BYTES * len(self)  # no slice that leaves some out
        if not is_whole or int(lengths.min()) < 1 or int(lengths.max()) > 127:
            return None
        try:
            parts = str(self._memory[first:last], "utf-8").split("\0" * 7)
        except UnicodeDecodeError:
            return None
        if len(parts) != len(self) + 1:
            return None
        return [*(part[:-1] for part in parts[1:-1]), parts[-1]]

    def _one_by_one(self) -> list[str]:
        first = int(self._places.min())
        taken = bytes(self._memory[first : int(self._places.max())])  # slices of bytes cost less than those of views
        places = (self._places - first).tolist()
        try:
            return [taken[start:end].decode() for start, end in places]
        except UnicodeDecodeError:
            return [_decoded(taken[start:end], self._where) for start, end in places]

    def __repr__(self) -> str:
        return f"<{len(self)} strings>"


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What a GGUF file holds. The tensors are views that keep the mapping alive."""

    path: Path
    version: int
    metadata: Mapping[str, MetadataValue]
    tensors: Mapping[str, StoredTensor]
    file: MappedFile


def read_gguf(path: Path) -> GgufFile:
    """Map a GGUF file and return its metadata and tensors.

    Cost: the header is walked (40 ms for a vocabulary of 262,144); no page of weights is touched.
    Errors: ModelFileError for a file that is cut short, damaged or hostile, naming what was expected and found;
    UnsupportedError naming a version or a kind of tensor that is not read; NotFoundError where there is no file.
    """
    file = MappedFile(path, kind="weights")
    header = _Header(file.memory(), str(path))
    version = header.begin()
    tensors, pairs = header.count(_LEAST_TENSOR, "tensors"), header.count(_LEAST_PAIR, "metadata pairs")
    metadata: dict[str, MetadataValue] = {}
    for _ in range(pairs):
        key = header.string("key", LONGEST_KEY)
        if key in metadata:
            raise header.wrong(f"metadata has the key {quoted(key)} twice")
        metadata[key] = header.value(key)
    rows = [header.tensor() for _ in range(tensors)]
    start = _aligned(header.at, _alignment(metadata, header))
    return GgufFile(path, version, metadata, _placed(rows, start, metadata, header), file)


class _Header:
    """A place in the header that moves on; everything read is checked against the bytes that are left."""

    def __init__(self, memory: memoryview, where: str) -> None:
        self.memory, self.where, self.at, self.size = memory, where, 0, len(memory)

    def wrong(self, message: str, cure: str = _CURE) -> ModelFileError:
        return ModelFileError(message, where=self.where, cure=cure)

    def take(self, size: int, what: str) -> int:
        """Move on by `size` bytes and return where they begin."""
        start = self.at
        if size > self.size - start:
            raise self.wrong(f"{what} at byte {start}: expected {size} bytes more, the file has {self.size - start}")
        self.at = start + size
        return start

    def u32(self, what: str) -> int:
        return int(_U32.unpack_from(self.memory, self.take(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack_from(self.memory, self.take(8, what))[0])

    def count(self, least_bytes: int, what: str) -> int:
        """Read a count of things that take at least so many bytes each."""
        found = self.u64(f"number of {what}")
        if found * least_bytes > self.size - self.at:
            raise self.wrong(f"{found} {what} announced, the {self.size - self.at} bytes left cannot hold them")
        return found

    def begin(self) -> int:
        """Check the magic and the version, and return the version."""
        magic = bytes(self.memory[:4])
        if magic != MAGIC:
            raise self.wrong(f"no GGUF file: expected it to begin with {MAGIC!r}, found {magic!r}")
        self.at = 4
        version = self.u32("version")
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            detail = f"version {swapped} in big-endian order" if swapped in VERSIONS else f"version {version}"
            raise UnsupportedError(f"GGUF {detail}", where=self.where, cure="convert it to version 3, little-endian")
        return version

    def string(self, what: str, longest: int) -> str:
        size = self.u64(f"length of {what}")
        if size > longest:
            raise self.wrong(f"{what} of {size} bytes at byte {self.at}: expected at most {longest}")
        start = self.take(size, what)
        return _decoded(self.memory[start : start + size], f"{self.where}: {what} at byte {start}")

    def value(self, key: str) -> MetadataValue:
        kind = self.u32(f"kind of {quoted(key)}")
        if kind == STRING:
            return self.string(f"value of {quoted(key)}", self.size)
        if kind == ARRAY:
            return self._array(key)
        number = self._number(kind, key)
        found = np.frombuffer(self.memory, number, 1, self.take(number.itemsize, f"value of {quoted(key)}"))[0].item()
        assert isinstance(found, bool | int | float)  # all kinds of NUMBERS are
        return found

    def _number(self, kind: int, key: str) -> np.dtype[np.generic]:
        if kind not in NUMBERS:
            raise self.wrong(f"metadata {quoted(key)}: expected a kind from 0 to 12, found {kind}")
        return NUMBERS[kind]

    def _array(self, key: str) -> "Strings | NumberArray":
        kind, what = self.u32(f"kind of {quoted(key)}"), f"items of {quoted(key)}"
        if kind == ARRAY:
            raise UnsupportedError(f"metadata {quoted(key)} is an array of arrays", where=self.where)
        if kind == STRING:
            return self._strings(self.count(8, what), f"{self.where}: {quoted(key)}")
        number = self._number(kind, key)
        count = self.count(number.itemsize, what)
        return np.frombuffer(self.memory, number, count, self.take(count * number.itemsize, what))

    def _strings(self, count: int, where: str) -> Strings:
        ends: list[int] = []
        memory, at, size, read, add = self.memory, self.at, self.size, _U64.unpack_from, ends.append
        for _ in range(count):  # 260,000 times in a second model's file: nothing here that is not needed
            if size - at < 8:
                raise self.wrong(f"{where}: the file ends in item {len(ends)}")
            at += 8 + read(memory, at)[0]
            if at > size:
                raise self.wrong(f"{where}: item {len(ends)} ends at byte {at}, the file has {size}")
            add(at)
        ends_at = np.array(ends, np.int64)
        starts_at = np.concatenate(([self.at], ends_at[:-1])).astype(np.int64) + 8 if count else ends_at
        self.at = at
        return Strings(memory, np.stack([starts_at, ends_at], axis=1), where)

    def tensor(self) -> tuple[str, tuple[int, ...], Quantisation, int]:
        """Read one tensor's row: name, shape (outermost first), kind, offset into the data."""
        name = self.string("name of a tensor", LONGEST_TENSOR_NAME)
        dimensions = self.u32(f"dimensions of {quoted(name)}")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self.wrong(f"tensor {quoted(name)}: expected 1 to {MOST_DIMENSIONS} dimensions, found {dimensions}")
        shape = tuple(self.u64(f"extents of {quoted(name)}") for _ in range(dimensions))[::-1]
        kind, offset = self.u32(f"kind of {quoted(name)}"), self.u64(f"offset of {quoted(name)}")
        if kind not in TENSOR_KINDS:
            known = ", ".join(sorted(kind.name for kind in TENSOR_KINDS.values()))
            named = _OTHER_KINDS.get(kind, f"number {kind}")
            raise UnsupportedError(
                f"tensor {quoted(name)} has the quantisation {named}",
                where=self.where,
                cure=f"convert the model to one of {known}",
            )
        return name, shape, TENSOR_KINDS[kind], offset


def _decoded(taken: memoryview | bytes, where: str) -> str:
    try:
        return str(taken, "utf-8")
    except UnicodeDecodeError:
        raise ModelFileError(f"expected UTF-8, found {quoted(bytes(taken[:100]))}", where=where, cure=_CURE) from None


def _alignment(metadata: Mapping[str, MetadataValue], header: _Header) -> int:
    found = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(found, int) or isinstance(found, bool) or found < 8 or found & (found - 1) or found > 1 << 20:
        raise header.wrong(f"general.alignment: expected a power of two of 8 or more, found {quoted(found)}")
    return found


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _placed(
    rows: Sequence[tuple[str, tuple[int, ...], Quantisation, int]],
    start: int,
    metadata: Mapping[str, MetadataValue],
    header: _Header,
) -> dict[str, StoredTensor]:
    """Return the tensors as views of the data, each checked to lie in it, aligned, whole and alone."""
    alignment, left = _alignment(metadata, header), header.size - start
    found: dict[str, StoredTensor] = {}
    taken: list[tuple[int, int, str]] = []
    for name, shape, kind, offset in rows:
        what = f"tensor {quoted(name)}"
        if name in found:
            raise header.wrong(f"{what} is there twice")
        if min(shape) < 1 or shape[-1] % kind.block_values:
            raise header.wrong(f"{what}: {kind.name} needs rows of whole blocks of {kind.block_values}, found {shape}")
        size = math.prod(shape) // kind.block_values * kind.block_bytes
        if offset % alignment:
            raise header.wrong(f"{what}: expected an offset that is a multiple of {alignment}, found {offset}")
        if offset + size > left:
            raise header.wrong(
                f"{what}: {kind.name} {shape} ends at byte {offset + size} of the data, which has {left}"
            )
        taken.append((offset, offset + size, name))
        data = np.frombuffer(header.memory, np.uint8, size, start + offset)
        found[name] = StoredTensor(name, kind, shape, data)
    taken.sort()
    for (_, end, first), (begin, _, second) in pairwise(taken):
        if begin < end:
            raise header.wrong(f"tensors {quoted(first)} and {quoted(second)} overlap at byte {begin} of the data")
    return found
