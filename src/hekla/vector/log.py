"""The write-ahead log: what was acknowledged and is in no segment yet.

A log is a row of files `log-<first sequence, 16 hex digits>.hkl`, each a header and records, little-endian:

    offset  size  meaning                              | record: offset  size  meaning
    0       8     "HKLLOG01"                           | 0       4     CRC-32 of the record from offset 4, less padding
    8       4     version, 1                           | 4       4     s: bytes of the batch
    12      4     0                                    | 8       8     sequence of the batch, one more than the last's
    16      8     sequence of the first record         | 16      8     last sequence known to be on disk at this time
    24      4     CRC-32 of bytes 0 to 23              | 24      s     the batch (`packing.py`)
    28      4     0                                    | ...           0 to 7 zero bytes, up to a multiple of 8

Behind the last record there may be zeros: room made beforehand, so that writing a record changes neither the file's
length nor its block list, and a sync writes the record alone.

A record that fails its checksum is a torn tail, and dropped with all after it, unless a later record says that it had
been on disk: then it is damage. Damage loses that batch alone and is told (`LogContents.damaged`).
"""

import contextlib
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from hekla.base.errors import InputError
from hekla.vector.disk import Disk, telling_of
from hekla.vector.errors import DamagedError, DiskError
from hekla.vector.schema import SyncPolicy

_MAGIC, _VERSION = b"HKLLOG01", 1
_HEADER = struct.Struct("<8sIIQ")
_HEADER_BYTES = 32
_RECORD = struct.Struct("<IIQQ")
MAX_RECORD_BYTES = 2**31
_FIRST_ROOM, _ROOM = 1 << 15, 1 << 19  # bytes made beforehand: as many as the log has, between these
_SMALL = 16  # records of less than a 16th of the room: for greater ones the sync of a new length is little
_BLANK = bytes(4096)
LOG_FILES = "log-" + "[0-9a-f]" * 16 + ".hkl"  # for `glob`


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One batch, as it was acknowledged."""

    sequence: int
    batch: memoryview


@dataclass(slots=True)
class LogContents:
    """What a log file holds."""

    records: list[LogRecord] = field(default_factory=list)
    good_bytes: int = 0  # where the next record goes
    damaged: list[str] = field(default_factory=list)  # places of batches that are lost


def log_path(folder: Path, first_sequence: int) -> Path:
    """Return the name of the log file that begins with a sequence."""
    return folder / f"log-{first_sequence:016x}.hkl"


def read_log(path: Path) -> LogContents:
    """Return the batches of one log file. Errors: DamagedError for a file that is no log or of a newer version."""
    # A header cannot be torn: the file got its name when it was on disk.
    data = path.read_bytes()
    contents = LogContents()
    if len(data) < _HEADER_BYTES:
        raise DamagedError(f"has {len(data)} bytes, a log has {_HEADER_BYTES} or more", where=str(path))
    magic, version, _, first = _HEADER.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(data[:24]) != int.from_bytes(data[24:28], "little"):
        raise DamagedError("is no log: its header fails its checksum", where=f"{path} at 0")
    if version > _VERSION:
        raise DamagedError(
            f"is of version {version}, this build reads {_VERSION}", where=str(path), cure="use a newer build"
        )
    contents.good_bytes = _HEADER_BYTES
    found = list(_records(memoryview(data), _end_of_records(data)))
    durable = max((durable for _, _, durable, _ in found), default=0)
    expected = first
    for at, sequence, _, batch in found:
        if sequence != expected:
            if durable < expected:
                break  # a hole nobody was promised: a torn tail
            contents.damaged.append(f"{path} before {at}: batches {expected} to {sequence - 1}")
        contents.records.append(LogRecord(sequence, batch))
        contents.good_bytes = at + _RECORD.size + len(batch) + -len(batch) % 8
        expected = sequence + 1
    if expected <= durable:
        contents.damaged.append(f"{path} at {contents.good_bytes}: batches {expected} to {durable}")
    return contents


def _end_of_records(data: bytes) -> int:
    """Return a place, at most a page late, behind which there are zeros only."""
    end = len(data)
    while end >= len(_BLANK) and data[end - len(_BLANK) : end] == _BLANK:
        end -= len(_BLANK)
    return end


def _records(data: memoryview, last: int) -> Iterator[tuple[int, int, int, memoryview]]:
    """Yield (offset, sequence, durable, batch) of every record that passes its checksum, stepping over others.

    None begins at `last` or later.
    """
    at = _HEADER_BYTES
    while at < last and at + _RECORD.size <= len(data):
        checksum, size, sequence, durable = _RECORD.unpack_from(data, at)
        end = at + _RECORD.size + size
        if end <= len(data) and zlib.crc32(data[at + 4 : end]) == checksum and (checksum or size):
            yield at, sequence, durable, data[at + _RECORD.size : end]
            at = end + -size % 8
        else:
            at += 8


class Log:
    """The log's last file, open for appending. `append` needs the collection's write lock, `wait_durable` none.

    Group commit: whoever waits first syncs for all that was appended till then; the others find it done.
    """

    def __init__(self, disk: Disk, path: Path, *, next_sequence: int, good_bytes: int, policy: SyncPolicy) -> None:
        self._disk, self.path, self._policy = disk, path, policy
        self._sync_lock = threading.Lock()
        self._broken: DiskError | None = None
        self._next = next_sequence
        self._appended = self._durable = next_sequence - 1
        self.bytes = good_bytes  # where the next record goes
        self._is_named = good_bytes < _HEADER_BYTES  # a process that died may have made a file and not its name durable
        if good_bytes < _HEADER_BYTES:
            # Whole and on disk before the first record: a header torn later could not be told from a damaged one.
            header = _HEADER.pack(_MAGIC, _VERSION, 0, next_sequence)
            self.bytes = disk.write_new(path, [header + zlib.crc32(header).to_bytes(4, "little") + bytes(4)])
        self._descriptor = disk.open_log(path)
        try:
            if disk.size(self._descriptor) != self.bytes:  # a torn tail, or room made beforehand
                disk.truncate(self._descriptor, path, self.bytes)
        except DiskError:
            disk.close(self._descriptor)
            raise
        self._room_until = self.bytes

    @property
    def next_sequence(self) -> int:
        """The sequence that the next batch gets."""
        return self._next

    def append(self, batch: bytes) -> int:
        """Add a batch and return its sequence; it counts once `wait_durable` returned. Errors: DiskError."""
        if self._broken is not None:
            raise self._broken
        if len(batch) > MAX_RECORD_BYTES:
            cure = "send several batches"
            raise InputError(
                f"is {len(batch)} bytes, a batch has at most {MAX_RECORD_BYTES}", where="$.points", cure=cure
            )
        rest = _RECORD.pack(0, len(batch), self._next, self._durable)[4:]
        checksum = zlib.crc32(batch, zlib.crc32(rest))
        record = b"".join((checksum.to_bytes(4, "little"), rest, batch, bytes(-len(batch) % 8)))
        if not self._is_named:  # not at the opening, which then need not wait for the disk
            with telling_of(self.path):
                self._disk.sync_folder(self.path.parent)
            self._is_named = True
        at = self.bytes
        try:
            self._disk.append(self._descriptor, self.path, at, record)
        except DiskError as error:
            refused = DiskError(error.message, where=f"{self.path}: batch {self._next}", cure=error.cure)
            if self._disk.size(self._descriptor) != at:
                self._broken = refused  # half a record could not be taken back: none may follow it
            self._room_until = at
            raise refused from error
        self.bytes = at + len(record)
        if self.bytes > self._room_until:
            self._make_room(len(record))
        if self._policy == "always":
            self._disk.begin_sync(self._descriptor, at, len(record))
        self._appended, self._next = self._next, self._next + 1
        return self._appended

    def _make_room(self, record_bytes: int) -> None:
        self._room_until = self.bytes
        room = min(max(self.bytes, _FIRST_ROOM), _ROOM)
        room -= (self.bytes + room) % len(_BLANK)
        if record_bytes < room // _SMALL and self._disk.reserve(self._descriptor, self.path, self.bytes, room):
            self._room_until = self.bytes + room

    def wait_durable(self, sequence: int) -> None:
        """Return once a batch is as safe as the policy says. Errors: DiskError, for good: reopen the collection."""
        if self._policy == "always":
            self.sync(sequence)

    def sync(self, sequence: int | None = None) -> None:
        """Return once every batch up to a sequence (all of them for None) is on disk. Errors: DiskError."""
        with self._sync_lock:
            appended = self._appended
            wanted = appended if sequence is None else sequence
            if self._durable >= wanted:
                return
            if self._broken is not None:
                raise self._broken
            try:
                self._disk.sync(self._descriptor)
            except OSError as error:
                # What the system could not write it may have forgotten: no later sync can be believed.
                self._broken = DiskError(
                    f"cannot be synced: {error.strerror}", where=str(self.path), cure="look at the disk, then reopen"
                )
                raise self._broken from error
            self._durable = appended

    def close(self) -> None:
        """Sync and close. A second call does nothing. Errors: DiskError."""
        if self._descriptor >= 0:
            try:
                if self._broken is None:
                    self.sync()
                    if self._room_until > self.bytes:
                        with contextlib.suppress(DiskError):  # it holds zeros, which mean nothing
                            self._disk.truncate(self._descriptor, self.path, self.bytes)
            finally:
                self._disk.close(self._descriptor)
                self._descriptor = -1


class IntervalSync:
    """Syncs a log now and then, from a thread of its own: the policy `interval`."""

    def __init__(self, collection_sync: Callable[[], None], interval_s: float) -> None:
        self._sync, self._interval_s = collection_sync, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vector-sync", daemon=True)

    def __enter__(self) -> "IntervalSync":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic() + self._interval_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self._interval_s
            try:
                self._sync()
            except DiskError:
                return  # the log is broken from now on, and says so at the next write
