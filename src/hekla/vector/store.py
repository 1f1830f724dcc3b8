"""The durable part of a collection: batches in, versions out, files kept in order. It knows nothing of searching.

A write: the batch is appended to the log and applied to the latest version under one lock; once the log is on disk (one
sync serves all who wait) the version becomes the one that readers get. Readers take no lock.

Maintenance turns the tail into a segment (`seal`) and several segments into one (`merge`): files are built beside
readers and writers, then the manifest is replaced, then what it no longer names is removed. A crash anywhere between
leaves the old collection or the new one.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import ConflictError, NotFoundError
from hekla.vector import bitmap
from hekla.vector.disk import Disk
from hekla.vector.errors import DamagedError, DiskError
from hekla.vector.log import LOG_FILES, IntervalSync, Log, LogRecord, log_path, read_log
from hekla.vector.manifest import Manifest, SegmentEntry, manifest_path, read_manifest, write_manifest
from hekla.vector.named_files import NamedFiles
from hekla.vector.opening import FolderLock, Opened, open_segments, read_logs, strays
from hekla.vector.packing import pack, unpack
from hekla.vector.rows import AnyArray, Ids, Rows, columns, concatenated, rows_of
from hekla.vector.schema import CollectionSchema
from hekla.vector.segment import (
    Segment,
    read_away,
    read_tombstones,
    segment_path,
    write_segment,
)
from hekla.vector.version import Part, Tail, Version, whole


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What a new segment is made of."""

    rows: Rows
    schema: CollectionSchema
    is_optimised: bool  # with graphs, where they pay
    old: Sequence[Part]  # whose rows they are, in order
    kept: Sequence[AnyArray]  # which rows of each, rising
    threads: int = 1  # for what takes long

    @property
    def same(self) -> Segment | None:
        """The segment whose very rows these are, None where there is none."""
        source = self.old[0].source
        is_same = len(self.old) == 1 and len(self.rows) == len(self.old[0].rows)
        return source if is_same and isinstance(source, Segment) else None


BuildSections = Callable[[SegmentPlan], Mapping[str, AnyArray]]  # what is stored over a segment's rows, beside them


@dataclass(frozen=True, slots=True)
class Changes:
    """What a read-modify-write wants done."""

    upserts: Rows | None = None  # no id twice
    deletes: Ids | None = None

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to do."""
        return not (self.upserts or self.deletes)


class Store:
    """One collection's folder, open. Any thread. Use `create_store` and `open_store`."""

    def __init__(
        self, folder: Path, manifest: Manifest, disk: Disk, build: BuildSections, lock: FolderLock | None
    ) -> None:
        self.folder, self._disk, self._build, self._lock_file = folder, disk, build, lock
        self._write = threading.RLock()
        self._maintain = threading.RLock()
        self._log: Log | None = None
        self._interval: IntervalSync | None = None
        self._is_closed = False
        opened = Opened()
        open_segments(folder, manifest, opened)
        self._away = opened.away  # of segments that could not be opened: what changed since, for when they are back
        self._tail = Tail(manifest.schema)
        parts = (*opened.parts, whole(self._tail.growing.view(), self._tail))
        self._latest = Version(manifest.log_start - 1, manifest.schema, parts)
        self._files = NamedFiles(folder, disk, manifest, self._latest)
        for record in read_logs(folder, manifest, opened):
            self._replay(record)
        self._visible = self._latest
        self._damaged = dict.fromkeys(opened.damaged)  # in order, each once
        self._damaged_segments: set[int] = set()
        if lock is not None:
            self._open_log(opened)

    def _open_log(self, opened: Opened) -> None:
        self._files.remove_strays()
        path = opened.log_file or log_path(self.folder, opened.next_sequence)
        good_bytes = opened.log_bytes if opened.log_file else 0
        policy = self.schema.sync
        self._log = Log(self._disk, path, next_sequence=opened.next_sequence, good_bytes=good_bytes, policy=policy)
        if policy == "interval":
            self._interval = IntervalSync(self.sync, self.schema.sync_interval_s).__enter__()

    def _replay(self, record: LogRecord) -> None:
        where = f"{self.folder}: batch {record.sequence}"
        has, arrays = unpack(record.batch, where)
        try:
            changes = Changes(
                rows_of(arrays, self.schema) if "upserts" in has else None,
                Ids(arrays["delete.low"], arrays["delete.high"], arrays["delete.is_uuid"])
                if "deletes" in has
                else None,
            )
        except KeyError as error:
            raise DamagedError(f"lacks column {error}", where=where) from error
        self._latest = self._changed(self._latest, changes, record.sequence)

    @property
    def schema(self) -> CollectionSchema:
        """What the collection holds."""
        return self._latest.schema

    @property
    def version(self) -> Version:
        """What a reader sees now."""
        return self._visible

    @property
    def is_read_only(self) -> bool:
        """True if it was opened for reading only."""
        return self._lock_file is None

    @property
    def damaged(self) -> tuple[str, ...]:
        """What was found damaged till now: on opening left out, later still served."""
        return tuple(self._damaged)

    def is_damaged(self, segment: int) -> bool:
        """Return whether a segment was found damaged after opening; such a one is merged no more."""
        return segment in self._damaged_segments

    @property
    def tail_rows(self) -> int:
        """Rows in memory that no segment holds yet."""
        return len(self._tail.growing)

    def upsert(self, rows: Rows) -> int:
        """Add points, in place of those with their ids; return the batch's sequence once it is as safe as promised.

        No id comes twice in `rows`. Errors: DiskError, and nothing of the batch is kept; ConflictError if read-only.
        """
        return self.change(lambda _: Changes(upserts=rows))

    def delete(self, ids: Ids) -> int:
        """Remove the points with these ids, those that are there; return the batch's sequence. Errors: as `upsert`."""
        return self.change(lambda _: Changes(deletes=ids))

    def change(self, decide: Callable[[Version], Changes]) -> int:
        """Do what `decide` says of the latest version, nothing coming between; return the last sequence.

        Errors: as `upsert`; what `decide` raises.
        """
        with self._write:
            log = self._writable()
            changes = decide(self._latest)
            if changes.is_empty:
                return self._latest.sequence
            sequence = log.append(_packed(changes))
            version = self._latest = self._changed(self._latest, changes, sequence)
        log.wait_durable(sequence)
        with self._write:
            if version.sequence > self._visible.sequence:
                self._visible = version
        return sequence

    def _changed(self, version: Version, changes: Changes, sequence: int) -> Version:
        for changed in self._away.values():
            changed += [ids for ids in (changes.deletes, changes.upserts and changes.upserts.ids) if ids]
        parts: Sequence[Part] = version.parts
        if changes.deletes is not None:
            parts = version.less(changes.deletes, changes.deletes.as_keys())
        if changes.upserts is not None:
            ids = changes.upserts.ids
            keys = ids.as_keys()
            *others, tail = Version(sequence, version.schema, tuple(parts)).less(ids, keys)
            self._tail.extend(changes.upserts, keys)
            parts = (*others, tail.longer(len(self._tail.growing)))
        return Version(sequence, version.schema, tuple(parts))

    def _writable(self) -> Log:
        if self._is_closed:
            raise ConflictError("is closed", where=str(self.folder), cure="open it again")
        if self._log is None:
            raise ConflictError("is open for reading only", where=str(self.folder), cure="open it for writing")
        return self._log

    def sync(self) -> None:
        """Return once everything written is on disk. Errors: DiskError."""
        log = self._log
        if log is not None:
            log.sync()

    def seal(self) -> bool:
        """Turn the tail into a segment; False if it is empty. Readers and writers go on. Errors: DiskError."""
        with self._maintain:
            with self._write:
                # More than one where sealing failed before, for want of room say.
                frozen = [part for part in self._latest.parts if isinstance(part.source, Tail) and len(part.rows)]
                if not frozen:
                    return False
                old_log, log_start = self._start_new_tail()
            try:
                self._replace_parts(frozen, log_start, is_optimised=False)
            finally:
                old_log.close()
            return True

    def _start_new_tail(self) -> tuple[Log, int]:
        """Begin a new tail and a new log file, the old tail staying a part; under the write lock."""
        old_log = self._writable()
        old_log.sync()
        log_start = old_log.next_sequence
        path = log_path(self.folder, log_start)
        self._log = Log(self._disk, path, next_sequence=log_start, good_bytes=0, policy=self.schema.sync)
        self._tail = Tail(self.schema)
        parts = (*self._latest.parts, whole(self._tail.growing.view(), self._tail))
        self._latest = self._visible = replace(self._latest, parts=parts)
        return old_log, log_start

    def merge(self, numbers: Sequence[int], *, is_optimised: bool = True, threads: int = 1) -> None:
        """Turn these segments into one, with a graph where that pays. Readers and writers go on. Errors: DiskError."""
        with self._maintain:
            wanted = set(numbers)
            parts = [p for p in self._latest.parts if isinstance(p.source, Segment) and p.source.number in wanted]
            if parts:
                self._replace_parts(parts, None, is_optimised=is_optimised, threads=threads)

    def merge_all(self, *, threads: int = 1) -> None:
        """Seal the tail and turn all segments into one; nothing where they are one that needs nothing. As `merge`."""
        with self._maintain:  # of both: what is merged must be what was found
            self.seal()
            found = [part for part in self._latest.parts if isinstance(part.source, Segment)]
            sources = [part.source for part in found if isinstance(part.source, Segment)]
            is_one = len(found) == 1 and found[0].live == len(found[0].rows)
            if not (is_one and sources[0].about["is_optimised"]):
                self.merge([source.number for source in sources], threads=threads)

    def _replace_parts(
        self, old: Sequence[Part], log_start: int | None, *, is_optimised: bool, threads: int = 1
    ) -> None:
        """Write one segment with the live rows of these parts, and put it in their place."""
        for part in old:
            if isinstance(part.source, Segment):
                self._verify_segment(part.source)  # damage must not get a fresh checksum
        kept = [np.flatnonzero(~bitmap.to_mask(part.deleted, len(part.rows))) for part in old]
        number = self._files.manifest.next_segment
        entry: SegmentEntry | None = None
        segment: Segment | None = None
        if sum(len(rows) for rows in kept):
            rows = concatenated([part.rows.take(live) for part, live in zip(old, kept, strict=True) if len(live)])
            sections = self._build(SegmentPlan(rows, self.schema, is_optimised, old, kept, threads))
            path = segment_path(self.folder, number)
            about = {"number": number, "is_optimised": is_optimised}
            size = write_segment(self._disk, path, rows, sections, about)
            segment = Segment(path, number, self.schema)
            entry = SegmentEntry(number, len(rows), size)
        with self._write:
            log = self._writable()
            log.sync()
            sources = [part.source for part in old]
            parts = [part for part in self._latest.parts if part.source not in sources]
            if segment is not None:
                part = whole(segment.rows, segment, self._deleted_since(old, kept, len(segment)))
                parts.insert(sum(isinstance(p.source, Segment) for p in parts), part)
            self._latest = self._visible = replace(self._latest, parts=tuple(parts))
            version = self._latest
        old_numbers = {source.number for source in sources if isinstance(source, Segment)}
        entries = [e for e in self._files.manifest.segments if e.number not in old_numbers] + ([entry] if entry else [])
        self._commit(version, entries, log_start)

    def _deleted_since(self, old: Sequence[Part], kept: Sequence[AnyArray], rows: int) -> bitmap.Words:
        """Return which of the new segment's rows were deleted while it was built; under the write lock."""
        mask = np.zeros(rows, np.bool_)
        first = 0
        for part, live in zip(old, kept, strict=True):
            now = next(p for p in self._latest.parts if p.source is part.source)
            mask[first : first + len(live)] = bitmap.contains(now.deleted, live)
            first += len(live)
        return bitmap.of_mask(mask)

    def _commit(self, version: Version, entries: Sequence[SegmentEntry], log_start: int | None) -> None:
        """Write the deleted rows and the manifest of a version, all of which is in the synced log or in segments."""
        with self._write:
            away = {number: _joined(changed) for number, changed in self._away.items()}
        self._files.commit(version, entries, log_start, away)

    @property
    def has_away(self) -> bool:
        """Return whether a segment could not be opened, so that not every point is known."""
        return bool(self._away)

    def change_schema(self, schema: CollectionSchema) -> None:
        """Take another schema, whose vectors are the same, and build anew what segments store over their rows.

        Errors: DiskError.
        """
        with self._maintain:
            with self._write:
                self._writable()
                before, manifest = self.schema, self._files.manifest
                self._set_schema(schema)
            try:
                self._commit(self._latest, self._files.manifest.segments, None)
            except DiskError:
                with self._write:
                    self._set_schema(before)
                    self._files.manifest = manifest
                raise
            for part in self._latest.parts:
                if isinstance(part.source, Segment):
                    self._replace_parts([part], None, is_optimised=bool(part.source.about["is_optimised"]))

    def _set_schema(self, schema: CollectionSchema) -> None:
        self._latest = replace(self._latest, schema=schema)
        self._visible = replace(self._visible, schema=schema)

    def verify(self) -> list[str]:
        """Read every byte of the collection's files; return what is damaged, now or since the opening."""
        with self._maintain:  # while files are read none is replaced by this process
            for part in self._visible.parts:
                if isinstance(part.source, Segment):
                    self._noting_damage(self._verify_segment, part.source)
            manifest = self._files.manifest
            if self._noting_damage(self._is_current, manifest):
                for entry in manifest.segments:
                    if entry.deleted:
                        self._noting_damage(read_tombstones, self.folder / entry.deleted)
                    if entry.away:
                        self._noting_damage(read_away, self.folder / entry.away)
                for path in sorted(self.folder.glob(LOG_FILES)):
                    self._noting_damage(self._verify_log, path)
            return list(self._damaged)

    def _noting_damage(self, check: Callable[[Any], object], of: object) -> object:  # Any: what it checks
        try:
            return check(of)
        except (DamagedError, NotFoundError) as error:
            self._damaged[str(error)] = None
            return None

    def _is_current(self, manifest: Manifest) -> bool:
        """Return whether no other process has replaced the manifest; then its files are no longer these."""
        return read_manifest(self.folder).generation == manifest.generation

    def _verify_segment(self, segment: Segment) -> None:
        try:
            segment.file.verify()
        except DamagedError as error:
            self._damaged[str(error)] = None
            self._damaged_segments.add(segment.number)
            raise

    def _verify_log(self, path: Path) -> None:
        self._damaged |= dict.fromkeys(read_log(path).damaged)

    def link_to(self, folder: Path) -> None:
        """Make a copy as of now: hard links of what never changes, and the log's bytes.

        Errors: DiskError, also where the folder is on another file system; ConflictError if it is not empty.
        """
        with self._maintain:
            if folder.exists() and any(folder.iterdir()):
                raise ConflictError("is not empty", where=str(folder), cure="name a new folder")
            with self._write:
                self.sync()
                manifest = self._files.manifest
                logs = [(path, self._log_bytes(path)) for path in self.folder.glob(LOG_FILES)]
            self._disk.make_folder(folder)
            for entry in manifest.segments:
                for name in filter(None, (segment_path(self.folder, entry.number).name, entry.deleted, entry.away)):
                    self._disk.link(self.folder / name, folder / name)
            for path, size in logs:
                with path.open("rb") as log:
                    self._disk.write_new(folder / path.name, [log.read(size)])
            write_manifest(self._disk, folder, manifest)

    def _log_bytes(self, path: Path) -> int:
        """Return the bytes of a log file that count; there is room behind them in the one that is written to."""
        log = self._log
        return log.bytes if log is not None and log.path == path else path.stat().st_size

    def close(self) -> None:
        """Seal the tail and give the folder free. A second call does nothing. Errors: DiskError, and it is closed."""
        with self._maintain, self._write:
            if self._is_closed:
                return
            try:
                if self._log is not None:
                    if self._interval is not None:
                        self._interval.__exit__(None, None, None)
                    try:
                        self.seal()
                    finally:
                        self._log.close()
            finally:
                self._is_closed = True
                if self._lock_file is not None:
                    self._lock_file.release()


def create_store(folder: Path, schema: CollectionSchema, disk: Disk, build: BuildSections) -> Store:
    """Make a collection in a folder that has none, and open it. Errors: ConflictError; DiskError."""
    disk.make_folder(folder)
    lock = FolderLock(folder)  # of two who make one at the same time, one is told that it is taken
    try:
        if manifest_path(folder).exists():
            raise ConflictError("holds a collection already", where=str(folder), cure="open it, or delete it first")
        manifest = Manifest(schema)
        left = [path for path in strays(folder, replace(manifest, log_start=1 << 64)) if path.suffix != ".part"]
        if left:
            cure = "restore manifest.json, or remove it all with `delete_collection`"
            raise ConflictError(
                f"holds {left[0].name} of a collection without its manifest", where=str(folder), cure=cure
            )
        write_manifest(disk, folder, manifest)
        return Store(folder, read_manifest(folder), disk, build, lock)
    except BaseException:
        lock.release()
        raise


def open_store(folder: Path, disk: Disk, build: BuildSections, *, is_read_only: bool = False) -> Store:
    """Open a collection. Errors: NotFoundError; LockedError; DamagedError where the manifest or the log is."""
    manifest = read_manifest(folder)  # before anything is made in a folder that is no collection
    if is_read_only:
        while True:
            store = Store(folder, manifest, disk, build, None)
            now = read_manifest(folder)
            if now.generation == manifest.generation:
                return store
            manifest = now  # a writer replaced files while they were opened: open those that count now
    lock = FolderLock(folder)
    try:
        return Store(folder, read_manifest(folder), disk, build, lock)
    except BaseException:
        lock.release()
        raise


def _joined(changed: list[Ids]) -> Ids | None:
    """Return all the ids and keep them as one; None for none."""
    if len(changed) > 1:
        changed[:] = [Ids(*(np.concatenate([getattr(ids, n) for ids in changed]) for n in ("low", "high", "is_uuid")))]
    return changed[0] if changed else None


def _packed(changes: Changes) -> bytes:
    arrays: dict[str, AnyArray] = {}
    if changes.deletes is not None:
        ids = changes.deletes
        arrays |= {"delete.low": ids.low, "delete.high": ids.high, "delete.is_uuid": ids.is_uuid}
    if changes.upserts is not None:
        arrays |= dict(columns(changes.upserts))
    has = [name for name in ("deletes", "upserts") if getattr(changes, name) is not None]
    return pack(has, arrays)
