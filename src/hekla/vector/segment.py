"""A segment: points that never change, on disk, found by id, searched in place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hekla.vector.disk import Disk
from hekla.vector.errors import DamagedError
from hekla.vector.id_lookup import IdLookup, lookup_sections
from hekla.vector.rows import AnyArray, Ids, Rows, columns, rows_of
from hekla.vector.schema import CollectionSchema
from hekla.vector.segment_file import SegmentFile, write_segment_file


def segment_path(folder: Path, number: int) -> Path:
    """Return the name of a segment's file."""
    return folder / f"segment-{number:016x}.hks"


def write_segment(disk: Disk, path: Path, rows: Rows, more: Mapping[str, AnyArray], about: Mapping[str, Any]) -> int:
    """Write points and what is built over them (graphs, payload indexes), and return the bytes.

    `more` are sections by name. Any: JSON. Errors: DiskError.
    """
    sections = {**dict(columns(rows)), **lookup_sections(rows.ids), **more}
    return write_segment_file(disk, path, {"rows": len(rows), **about}, sections)


class Segment:
    """One segment, mapped. Errors: DamagedError."""

    def __init__(self, path: Path, number: int, schema: CollectionSchema) -> None:
        self.number = number
        self.file = SegmentFile(path)
        sections = self.file.sections()
        try:
            self.rows = rows_of(sections, schema)
            self._lookup = IdLookup(sections)
        except KeyError as error:
            raise DamagedError(f"lacks section {error}", where=str(path)) from error
        self.sections: Mapping[str, AnyArray] = sections
        self.about: Mapping[str, Any] = self.file.about  # Any: JSON
        self.derived: dict[str, Any] = {}  # what readers opened over the sections; Any: each its own

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, ids: Any) -> AnyArray:  # Any: Ids
        """Return the row of each id, -1 where it is not here, deleted or not."""
        return self._lookup.rows(ids)

    def rows_from(self, start: Any) -> tuple[AnyArray, AnyArray]:  # Any: Ids
        """Return the rows in the order of their ids, from one id on: of numbers, then of UUIDs."""
        return self._lookup.rows_from(start)

    def row_of(self, key: int) -> int:
        """Return the row of one id, as `Ids.as_keys` has it; -1 where it is not here, deleted or not."""
        return self._lookup.row_of(key)


def tombstone_path(folder: Path, number: int, sequence: int) -> Path:
    """Return the name of the file with a segment's deleted rows as of a sequence."""
    return folder / f"deleted-{number:016x}-{sequence:016x}.hks"


def write_tombstones(disk: Disk, path: Path, words: AnyArray) -> None:
    """Write a segment's deleted rows. Errors: DiskError."""
    write_segment_file(disk, path, {}, {"deleted": words})


def away_path(folder: Path, number: int, sequence: int) -> Path:
    """Return the name of the file with the ids that changed, up to a sequence, while a segment was away."""
    return folder / f"away-{number:016x}-{sequence:016x}.hks"


def write_away(disk: Disk, path: Path, ids: Ids) -> None:
    """Write the ids that changed while a segment could not be opened. Errors: DiskError."""
    write_segment_file(disk, path, {}, {"low": ids.low, "high": ids.high, "is_uuid": ids.is_uuid})


def read_away(path: Path) -> Ids:
    """Return the ids that changed while a segment could not be opened, a copy. Errors: DamagedError."""
    file = SegmentFile(path)
    file.verify()
    return Ids(*(np.array(file.section(name)) for name in ("low", "high", "is_uuid")))


def read_tombstones(path: Path) -> AnyArray:
    """Return a segment's deleted rows, a copy. Errors: DamagedError."""
    file = SegmentFile(path)
    file.verify()
    return np.array(file.section("deleted"))
