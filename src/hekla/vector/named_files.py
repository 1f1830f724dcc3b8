"""The files that are a collection: what its manifest names. What it names no more is removed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hekla.vector import bitmap
from hekla.vector.disk import Disk
from hekla.vector.errors import DiskError
from hekla.vector.manifest import Manifest, SegmentEntry, write_manifest
from hekla.vector.opening import strays
from hekla.vector.rows import Ids
from hekla.vector.segment import Segment, away_path, tombstone_path, write_away, write_tombstones
from hekla.vector.version import Version


class NamedFiles:
    """What one collection's manifest names. For one thread at a time."""

    def __init__(self, folder: Path, disk: Disk, manifest: Manifest, version: Version) -> None:
        """version: as the files have it, without the log's batches: what these delete is in no file yet."""
        self._folder, self._disk, self.manifest = folder, disk, manifest
        self._written_deletes = {
            entry.number: (entry.deleted, _deleted_of(version, entry.number))
            for entry in manifest.segments
            if entry.deleted and not entry.away
        }

    def commit(
        self,
        version: Version,
        entries: Sequence[SegmentEntry],
        log_start: int | None,
        away: Mapping[int, Ids | None],
    ) -> None:
        """Write deleted rows and the manifest of a version, all of which is in the synced log or in segments.

        entries: the segments that count now; log_start: the first batch that is in none, None for no other than it was;
        away: of each segment that could not be opened, ids that were written or deleted since. Errors: DiskError.
        """
        named = [
            self._with_changes(entry, version, away[entry.number])
            if entry.number in away
            else self._with_deletes(entry, version)
            for entry in entries
        ]
        self.manifest = replace(
            self.manifest,
            generation=self.manifest.generation + 1,
            next_segment=max([self.manifest.next_segment, *(entry.number + 1 for entry in named)]),
            log_start=self.manifest.log_start if log_start is None else log_start,
            segments=tuple(named),
            schema=version.schema,
        )
        write_manifest(self._disk, self._folder, self.manifest)
        self.remove_strays()

    def remove_strays(self) -> None:
        """Remove what the manifest does not name. What cannot be removed now is at the next opening."""
        for stray in strays(self._folder, self.manifest):
            try:
                self._disk.remove(stray)
            except DiskError:
                return

    def _with_deletes(self, entry: SegmentEntry, version: Version) -> SegmentEntry:
        words = _deleted_of(version, entry.number)
        entry = replace(entry, away="")
        if words is None or not words.any():
            return entry
        name, written = self._written_deletes.get(entry.number, ("", None))
        if written is not words:
            path = tombstone_path(self._folder, entry.number, version.sequence)
            write_tombstones(self._disk, path, words)
            name = path.name
            self._written_deletes[entry.number] = (name, words)
        return replace(entry, deleted=name)

    def _with_changes(self, entry: SegmentEntry, version: Version, changed: Ids | None) -> SegmentEntry:
        """Write what changed while a segment could not be opened: the log that tells it may soon be removed."""
        if changed is None:
            return entry
        path = away_path(self._folder, entry.number, version.sequence)
        write_away(self._disk, path, changed)
        return replace(entry, away=path.name)


def _deleted_of(version: Version, number: int) -> bitmap.Words | None:
    for part in version.parts:
        if isinstance(part.source, Segment) and part.source.number == number:
            return part.deleted
    return None
