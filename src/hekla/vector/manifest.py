"""The manifest: which files are the collection. Replaced as a whole, so that a crash leaves the old one or the new.

`manifest.json` is two lines of UTF-8: JSON, and the CRC-32 of the first line in eight hex digits.

    {"version": 1, "schema": ..., "generation": n, "next_segment": n,
     "log_start": first sequence of the oldest log file that still counts,
     "segments": [{"number": n, "rows": n, "bytes": n, "deleted": name of the file of deleted rows or ""}]}

An entry has "away" too, the name of a file of ids, where points were written or removed while it could not be opened.
"""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from hekla.base.errors import NotFoundError
from hekla.vector.disk import Disk
from hekla.vector.errors import DamagedError
from hekla.vector.schema import CollectionSchema, schema_from_json, schema_to_json

_VERSION = 1


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment, as the manifest names it."""

    number: int
    rows: int
    bytes: int
    deleted: str = ""
    away: str = ""  # name of the file of ids written or removed while the segment could not be opened


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which files are the collection."""

    schema: CollectionSchema
    generation: int = 0
    next_segment: int = 1
    log_start: int = 1
    segments: tuple[SegmentEntry, ...] = ()

    def with_schema(self, schema: CollectionSchema) -> "Manifest":
        """Return the manifest with another schema."""
        return replace(self, schema=schema)


def manifest_path(folder: Path) -> Path:
    """Return the manifest's place."""
    return folder / "manifest.json"


def write_manifest(disk: Disk, folder: Path, manifest: Manifest) -> None:
    """Make this the collection's manifest, durably. Errors: DiskError, and the old one still counts."""
    document = {
        "version": _VERSION,
        "schema": schema_to_json(manifest.schema),
        "generation": manifest.generation,
        "next_segment": manifest.next_segment,
        "log_start": manifest.log_start,
        "segments": [
            {"number": s.number, "rows": s.rows, "bytes": s.bytes, "deleted": s.deleted}
            | ({"away": s.away} if s.away else {})
            for s in manifest.segments
        ],
    }
    line = orjson.dumps(document)
    disk.write_new(manifest_path(folder), [line, b"\n%08x\n" % zlib.crc32(line)])


def read_manifest(folder: Path) -> Manifest:
    """Return the collection's manifest. Errors: NotFoundError; DamagedError, also for a newer version's."""
    path = manifest_path(folder)
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError("holds no collection", where=str(folder), cure="create one first") from None
    line, _, checksum = written.partition(b"\n")
    if checksum.strip() != b"%08x" % zlib.crc32(line):
        raise DamagedError("fails its checksum", where=str(path), cure="restore the collection from a snapshot")
    document: dict[str, Any] = orjson.loads(line)
    if document["version"] > _VERSION:
        raise DamagedError(
            f"is of version {document['version']}, this build reads {_VERSION}",
            where=str(path),
            cure="open it with a newer build",
        )
    return Manifest(
        schema_from_json(document["schema"]),
        document["generation"],
        document["next_segment"],
        document["log_start"],
        tuple(SegmentEntry(**entry) for entry in document["segments"]),
    )
