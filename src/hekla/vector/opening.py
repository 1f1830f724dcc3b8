"""Opening: the manifest says which files count, the log what came after. The time does not depend on their size."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hekla.vector.disk import telling_of
from hekla.vector.errors import DamagedError, LockedError
from hekla.vector.log import LogRecord, log_path, read_log
from hekla.vector.manifest import Manifest
from hekla.vector.rows import Ids
from hekla.vector.segment import Segment, read_away, read_tombstones, segment_path
from hekla.vector.version import Part, whole

_HEX = frozenset("0123456789abcdef")
_LOG_NAME = len("log-0123456789abcdef.hkl")
_PID_BYTES = 32
_UNKNOWN_BATCHES = 1 << 32  # sequences left free after a log that cannot be read: some may have been used in it


@dataclass(slots=True)
class Opened:
    """What was found in a collection's folder."""

    parts: list[Part] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    away: dict[int, list[Ids]] = field(default_factory=dict)  # of segments left out: ids that changed since
    next_sequence: int = 1
    log_file: Path | None = None  # the last one; None where there is none to go on with
    log_bytes: int = 0  # of it that are good


def open_segments(folder: Path, manifest: Manifest, opened: Opened) -> None:
    """Open every segment that the manifest names; one that is damaged is named and left out."""
    for entry in manifest.segments:
        try:
            segment = Segment(segment_path(folder, entry.number), entry.number, manifest.schema)
            if (segment.file.size_bytes, len(segment)) != (entry.bytes, entry.rows):
                raise DamagedError("is not the segment that the manifest names", where=str(segment.file.path))
            deleted = read_tombstones(folder / entry.deleted) if entry.deleted else None
            part = whole(segment.rows, segment, deleted)
            if entry.away:  # it is back: what changed meanwhile is no longer its own
                gone = part.find(read_away(folder / entry.away))
                part = part.less(np.unique(gone[gone >= 0]).tolist())
        except DamagedError as error:
            opened.damaged.append(str(error))
            opened.away[entry.number] = []
            if entry.away:
                with contextlib.suppress(DamagedError):  # named when the segment is back
                    opened.away[entry.number].append(read_away(folder / entry.away))
            continue
        opened.parts.append(part)


def read_logs(folder: Path, manifest: Manifest, opened: Opened) -> Iterator[LogRecord]:
    """Yield the batches that no segment holds, in order, noting where the log goes on."""
    opened.next_sequence = manifest.log_start
    files = [path for path in _log_files(folder) if _first(path) >= manifest.log_start]
    if manifest.generation and not files:
        opened.damaged.append(f"{log_path(folder, manifest.log_start)}: the log is missing")
    for path in files:
        first = _first(path)
        if first > opened.next_sequence:
            # A file begins when all before it is on disk.
            opened.damaged.append(f"{path} at 0: batches {opened.next_sequence} to {first - 1} before it are lost")
            opened.next_sequence = first
        try:
            contents = read_log(path)
        except FileNotFoundError:  # a writer has sealed it since: a reader finds another manifest, and begins again
            opened.damaged.append(f"{path}: the log went while it was read")
            continue
        except DamagedError as error:
            opened.damaged.append(str(error))
            opened.log_file = None
            opened.next_sequence = max(opened.next_sequence, first) + _UNKNOWN_BATCHES
            continue
        opened.damaged += contents.damaged
        if not contents.records and first < opened.next_sequence:
            continue  # made for a new tail that did not come to be: the file before went on
        for record in contents.records:
            yield record
            opened.next_sequence = record.sequence + 1
        opened.log_file, opened.log_bytes = path, contents.good_bytes


def strays(folder: Path, manifest: Manifest) -> list[Path]:
    """Return a collection's files that the manifest does not name: what a crash left."""
    named = {segment_path(folder, entry.number).name for entry in manifest.segments}
    named |= {name for entry in manifest.segments for name in (entry.deleted, entry.away)}
    logs = [path for path in _log_files(folder) if _first(path) < manifest.log_start]
    ours = (("segment-", ".hks"), ("deleted-", ".hks"), ("away-", ".hks"), (".", ".part"))
    others = [name for name in os.listdir(folder) if any(name.startswith(a) and name.endswith(z) for a, z in ours)]
    return logs + [folder / name for name in sorted(others) if name not in named]


def _log_files(folder: Path) -> list[Path]:
    """Return the log's files in order. Not by `glob`: making its patterns takes half the time of an opening."""
    names = [name for name in os.listdir(folder) if name.startswith("log-") and name.endswith(".hkl")]
    return [folder / name for name in sorted(names) if len(name) == _LOG_NAME and set(name[4:-4]) <= _HEX]


def _first(log_file: Path) -> int:
    """Return the sequence that a log file begins with, by its name."""
    return int(log_file.stem[4:], 16)


class FolderLock:
    """Keeps other processes from writing to a collection. Errors: LockedError at once, never a wait; DiskError."""

    def __init__(self, folder: Path) -> None:
        with telling_of(folder / "lock"):
            self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise LockedError(
                f"process {holder or 'another'} has it open for writing",
                where=str(folder),
                cure="close it there, or open it read-only",
            ) from None
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same; others read no number
            # as long as the one before: a change of length would wait for the file system's journal
            os.pwrite(self._descriptor, str(os.getpid()).encode().ljust(_PID_BYTES), 0)

    def release(self) -> None:
        """Let others write. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
