"""A collection: what `import hekla.vector` gives an application. Any thread."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, NotFoundError, nearest_name, quoted
from hekla.runtime.limits import usable_cpus
from hekla.vector import bitmap
from hekla.vector.batch import copied, rows_from_arrays
from hekla.vector.damage import telling_damage
from hekla.vector.dense import graph_options
from hekla.vector.disk import Disk, telling_of
from hekla.vector.edits import Removal, Rewriting, Selection, payloads_changed, vectors_removed, vectors_set
from hekla.vector.execute import allowed_rows, run
from hekla.vector.filters import Filter
from hekla.vector.group_commit import GroupCommit
from hekla.vector.manifest import manifest_path
from hekla.vector.near import Near, near_in, until_of
from hekla.vector.opening import FolderLock
from hekla.vector.payload.words import words_by
from hekla.vector.point import Payload, Point, PointId, Record, ScoredPoint, SparseVector, Vector, read_id
from hekla.vector.queries import Nearest, Search
from hekla.vector.ready import find_kernels
from hekla.vector.records import ALL, ID_ONLY, WITH_PAYLOAD, Wanted, record_of, scored_of
from hekla.vector.rows import AnyArray, ids_of
from hekla.vector.schema import CollectionSchema, FieldSchema
from hekla.vector.scrolling import rows_in_order
from hekla.vector.segment import Segment
from hekla.vector.segment_sections import segment_sections
from hekla.vector.store import Store, create_store, open_store
from hekla.vector.upkeep import Upkeep, merge_once
from hekla.vector.version import Version

_NO_VECTORS = (int, uuid.UUID, SparseVector)  # queries that are not searched by `Near`


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Points found, best first."""

    points: list[ScoredPoint]
    is_complete: bool  # False: the deadline passed and these are the best until then


@dataclass(frozen=True, slots=True)
class SegmentStatus:
    """One segment."""

    number: int
    rows: int
    live: int
    bytes: int
    has_graph: bool


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """How a collection stands."""

    points: int
    tail_rows: int  # in memory and the log, in no segment yet
    segments: tuple[SegmentStatus, ...]
    damaged: tuple[str, ...]  # files and batches that were left out, and why
    is_read_only: bool


class Collection:
    """One collection, open. Make one with `create` or `open`; use it in a `with` or close it."""

    def __init__(self, store: Store, *, has_upkeep: bool) -> None:
        self._store = store
        self._nears: dict[str, tuple[Version, Near | None]] = {}  # by vector, for the version they are of
        self._upkeep = Upkeep(store) if has_upkeep and not store.is_read_only else None
        self._commits = GroupCommit(store, self._wake)

    @classmethod
    def create(
        cls, folder: Path | str, schema: CollectionSchema, *, has_upkeep: bool = True, disk: Disk | None = None
    ) -> "Collection":
        """Make a collection in a folder and open it.

        has_upkeep: seal, merge and build graphs in a thread of its own, as needed; else only when `optimise` is called.
        Errors: ConflictError if there is one; DiskError; ConfigError for a schema that is wrong.
        """
        for path, field in schema.fields.items():
            words_by(field.text, f"$.fields.{path}.language")
        for name, vector in schema.vectors.items():
            graph_options(vector, f"$.vectors.{name}.index")
        store = create_store(Path(folder), schema, disk or Disk(), segment_sections)
        return cls(store, has_upkeep=has_upkeep)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        is_read_only: bool = False,
        has_upkeep: bool = True,
        disk: Disk | None = None,
    ) -> "Collection":
        """Open a collection: map its files, read its manifest and the log's end, load the code of its searches.

        Errors: NotFoundError; LockedError if another process has it open for writing; DamagedError.
        """
        store = open_store(Path(folder), disk or Disk(), segment_sections, is_read_only=is_read_only)
        find_kernels(store.version)
        return cls(store, has_upkeep=has_upkeep)

    def __enter__(self) -> "Collection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._store.version.live

    @property
    def schema(self) -> CollectionSchema:
        """What the collection holds."""
        return self._store.schema

    @property
    def folder(self) -> Path:
        """Where the collection lies."""
        return self._store.folder

    @property
    def next_number(self) -> int:
        """One more than the greatest number that is a point's id, deleted ones counting; 0 where there is none."""
        parts = [part.rows.ids for part in self._store.version.parts if len(part.rows)]
        return max((int(ids.low.max(where=~ids.is_uuid, initial=0)) + 1 for ids in parts), default=0)

    def status(self) -> CollectionStatus:
        """Return how the collection stands."""
        version = self._store.version
        segments = tuple(
            SegmentStatus(
                part.source.number,
                len(part.rows),
                part.live,
                part.source.file.size_bytes,
                any(name.startswith("graph.") for name in part.source.sections),
            )
            for part in version.parts
            if isinstance(part.source, Segment)
        )
        store = self._store
        return CollectionStatus(version.live, store.tail_rows, segments, store.damaged, store.is_read_only)

    # ---- writing

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, in place of those with their ids; of the same id twice, the last.

        The batch is kept whole or not at all, and is on disk (as the schema's `sync` says) when this returns.
        Errors: PointError naming the point; DiskError, and nothing of it is kept.
        """
        if len(points):
            self._commits.write(points)

    def submit(self, points: Sequence[Point]) -> "Future[int]":
        """Begin an `upsert` and return at once: many under way share one sync of the disk.

        The future is done when `upsert` would have returned, and raises what it would have raised; readers see the
        points then, in the order of the calls. Writes that follow come after it; `flush` waits for all. The points are
        the caller's again when this returns. It waits where very many are under way. A future that is cancelled before
        its points are written takes them back. Errors: PointError for a payload that is no JSON; ConflictError if the
        collection is closed.
        """
        return self._commits.submit(copied(points))

    def upsert_arrays(
        self,
        ids: NDArray[np.uint64] | Sequence[PointId],
        vectors: AnyArray | Mapping[str, AnyArray],
        payloads: Sequence[Payload] | None = None,
    ) -> None:
        """Add points from arrays: ids (n,), vectors (n, dimension) or one such array a name. As `upsert`."""
        named = vectors if isinstance(vectors, Mapping) else {"": vectors}
        rows = rows_from_arrays(self.schema, ids, named, payloads)
        if len(rows):
            self._commits.write(rows)

    def _wake(self) -> None:
        if self._upkeep is not None:
            self._upkeep.wake()

    @telling_damage
    def delete(self, selection: Selection) -> int:
        """Remove points and return how many there were. Errors: as `upsert`."""
        removal = Removal(selection, knows_all=not self._store.has_away)
        self._commits.write(removal)
        return removal.points

    def set_payload(self, payload: Payload, selection: Selection) -> int:
        """Set these keys of the points' payloads, keeping others; return how many points. Errors: as `upsert`."""
        return self._edit(selection, lambda old: {**old, **payload})

    def overwrite_payload(self, payload: Payload, selection: Selection) -> int:
        """Replace the points' payloads; return how many points. Errors: as `upsert`."""
        return self._edit(selection, lambda _: dict(payload))

    def delete_payload(self, keys: Iterable[str], selection: Selection) -> int:
        """Remove these keys of the points' payloads; return how many points. Errors: as `upsert`."""
        gone = set(keys)
        return self._edit(selection, lambda old: {key: value for key, value in old.items() if key not in gone})

    def clear_payload(self, selection: Selection) -> int:
        """Remove the points' payloads; return how many points. Errors: as `upsert`."""
        return self._edit(selection, lambda _: {})

    def edit_payload(self, edit: Callable[[dict[str, Any]], Payload], selection: Selection) -> int:
        """Replace each point's payload by what `edit` makes of it; return how many points. Errors: as `upsert`."""
        return self._edit(selection, edit)

    def _edit(self, selection: Selection, edit: Callable[[dict[str, Any]], Payload]) -> int:
        return self._rewrite(Rewriting(selection, payloads_changed(edit)))

    @telling_damage
    def _rewrite(self, rewriting: Rewriting) -> int:
        self._commits.write(rewriting)
        return rewriting.points

    def update_vectors(self, points: Sequence[Point]) -> int:
        """Set these vectors of points that are there, keeping payload and other vectors; return how many points.

        Errors: as `upsert`; NotFoundError for an id that is not there.
        """
        return self._rewrite(vectors_set(self.schema, points))

    def delete_vectors(self, names: Iterable[str], selection: Selection) -> int:
        """Remove these vectors of the points; return how many points. Errors: as `upsert`; PointError for a name."""
        return self._rewrite(Rewriting(selection, vectors_removed(self.schema, names)))

    def create_field(self, path: str, field: FieldSchema) -> None:
        """Make a payload index, over what is there and what comes. Errors: DiskError; ConfigError."""
        words_by(field.text, f"$.fields.{path}.language")
        self._store.change_schema(replace(self.schema, fields={**self.schema.fields, path: field}))

    def delete_field(self, path: str) -> None:
        """Remove a payload index; filters on the path read payloads from now on. Errors: NotFoundError; DiskError."""
        if path not in self.schema.fields:
            cure = nearest_name(path, self.schema.fields)
            raise NotFoundError(f"no index at {quoted(path)}", where="$.field_name", cure=cure)
        fields = {name: field for name, field in self.schema.fields.items() if name != path}
        self._store.change_schema(replace(self.schema, fields=fields))

    # ---- reading

    def search(self, vector: Vector, limit: int = 10, *, using: str = "", **more: Any) -> list[ScoredPoint]:
        """Return the points nearest to a vector. `more`: as `Search` has them, and `wanted`. Any: typed there.

        Errors: PointError for a vector that does not fit.
        """
        wanted, ef, filter_ = more.pop("wanted", ID_ONLY), more.pop("ef", None), more.pop("filter", None)
        if not more:
            found = self._nearest(vector, limit, 0, using, ef, filter_, None, False, wanted)
            if found is not None:
                return found[0]
        return self.query(Search(Nearest(vector, using), limit, ef=ef, filter=filter_, **more), wanted).points

    @telling_damage
    def _nearest(
        self,
        vector: Any,  # Any: whatever the caller passed
        limit: int,
        offset: int,
        using: str,
        ef: int | None,
        filter_: Filter | None,
        deadline_s: float | None,
        is_exact: bool,
        wanted: Wanted,
    ) -> tuple[list[ScoredPoint], bool] | None:
        """Return the nearest points and whether all were looked at; None where more is asked than a dense vector."""
        version = self._store.version
        known = self._nears.get(using)
        if known is None or known[0] is not version:
            known = self._nears[using] = (version, near_in(version, using))
        near = known[1]
        if near is None or (type(vector) is not np.ndarray and isinstance(vector, _NO_VECTORS)):
            return None
        until = until_of(deadline_s)
        allowed = None if filter_ is None else allowed_rows(version, filter_, "$.filter")
        return near.points(
            vector, limit, offset=offset, ef=ef, allowed=allowed, until=until, is_exact=is_exact, wanted=wanted
        )

    @telling_damage
    def query(self, search: Search, wanted: Wanted = WITH_PAYLOAD) -> SearchResult:
        """Return what a search finds. Errors: PointError, InputError, NotFoundError naming the place."""
        query = search.query
        if type(query) is Nearest and not search.prefetch and search.score_threshold is None:
            found = self._nearest(
                query.vector, search.limit, search.offset, query.using, search.ef, search.filter, search.deadline_s,
                search.is_exact, wanted,
            )  # fmt: skip
            if found is not None:
                return SearchResult(*found)
        version = self._store.version
        result = run(version, search)
        hits = result.hits
        each = zip(hits.part.tolist(), hits.row.tolist(), result.scores.tolist(), strict=True)
        points = [scored_of(version.parts[part].rows, row, score, wanted, version.schema) for part, row, score in each]
        return SearchResult(points, hits.is_complete)

    @telling_damage
    def query_groups(
        self, search: Search, by: str, *, groups: int = 10, group_size: int = 3, wanted: Wanted = WITH_PAYLOAD
    ) -> list[tuple[Any, list[ScoredPoint]]]:
        """Return the best points of the best groups: (value at path `by`, points). Any: the payload's value.

        A point with several values is in several groups, one without in none. Errors: as `query`.
        """
        from_payload = replace(wanted, payload=True, payload_without=())
        limit = groups * group_size
        while True:
            found = self.query(replace(search, limit=limit, offset=0), from_payload).points
            grouped = _grouped(found, by, group_size)
            is_full = len(grouped) >= groups and all(len(p) == group_size for p in list(grouped.values())[:groups])
            if is_full or len(found) < limit or limit >= 20 * groups * group_size:
                break
            limit *= 4
        best = list(grouped.items())[:groups]
        ids = [point.id for _, points in best for point in points]
        again = {record.id: record for record in self.retrieve(ids, wanted)}
        return [
            (
                value,
                [ScoredPoint(p.id, p.score, again[p.id].payload, again[p.id].vectors) for p in points if p.id in again],
            )
            for value, points in best
        ]

    @telling_damage
    def retrieve(self, ids: Sequence[PointId], wanted: Wanted = ALL) -> list[Record]:
        """Return the points with these ids, those that are there, in the order asked for."""
        version = self._store.version
        column = ids_of([read_id(value, f"$.ids[{i}]") for i, value in enumerate(ids)])
        found: list[Record | None] = [None] * len(column)
        for part in version.parts:
            for i, row in enumerate(part.find(column).tolist() if part.live else ()):
                if row >= 0:
                    found[i] = record_of(part.rows, row, wanted, version.schema)
        return [record for record in found if record is not None]

    @telling_damage
    def count(self, filter_: Filter | None = None) -> int:
        """Return how many points there are that a filter holds for."""
        version = self._store.version
        if filter_ is None:
            return version.live
        return sum(bitmap.count(words) for words in allowed_rows(version, filter_, "$.filter") if words is not None)

    @telling_damage
    def scroll(
        self,
        *,
        filter_: Filter | None = None,
        after: PointId | None = None,
        limit: int = 10,
        wanted: Wanted = WITH_PAYLOAD,
    ) -> tuple[list[Record], PointId | None]:
        """Return points in the order of their ids, from `after` on (inclusive), and where the next page begins.

        Numbers come before UUIDs. None: there is no next page. Errors: InputError for a limit below 1.
        """
        if limit < 1:
            raise InputError(f"must be at least 1, got {limit}", where="$.limit")
        version = self._store.version
        start = None if after is None else read_id(after, "$.after")
        found = rows_in_order(version, allowed_rows(version, filter_, "$.filter"), start, limit + 1)
        page = [record_of(version.parts[n].rows, row, wanted, version.schema) for n, row in found[:limit]]
        if len(found) <= limit:
            return page, None
        number, row = found[limit]
        return page, version.parts[number].rows.ids.at(row)

    @telling_damage
    def facet(self, path: str, *, filter_: Filter | None = None, limit: int = 10) -> list[tuple[str | int, int]]:
        """Return the values at a path of kind keyword, uuid, integer or bool, and how many points have each.

        The most frequent first, equals in order of value. Errors: InputError where there is no such index.
        """
        from hekla.vector.facets import facet_counts

        version = self._store.version
        return facet_counts(version, path, allowed_rows(version, filter_, "$.filter"), limit)

    # ---- upkeep

    def optimise(self, *, is_whole: bool = True) -> None:
        """Seal what is in memory and merge segments, graphs and all; readers and writers go on.

        is_whole: into one segment; else as far as the upkeep thread would. Errors: DiskError.
        """
        if is_whole:
            self._store.merge_all(threads=usable_cpus())  # somebody waits for it
        else:
            self._store.seal()
            while merge_once(self._store):
                pass

    def wait_settled(self, timeout_s: float | None = None) -> bool:
        """Return once the upkeep thread has nothing to do; False if that takes too long. Errors: why upkeep failed."""
        if self._upkeep is None:
            return True
        is_settled = self._upkeep.wait_settled(timeout_s)
        if self._upkeep.error is not None:
            raise self._upkeep.error
        return is_settled

    def flush(self) -> None:
        """Return once everything written, and all that was submitted, is on disk, whatever the schema's `sync`.

        What was submitted and refused says so itself. Errors: DiskError.
        """
        self._commits.settle()
        self._store.sync()

    def verify(self) -> list[str]:
        """Read every byte of the collection's files and return what is damaged, now or since the opening."""
        return self._store.verify()

    def snapshot(self, folder: Path | str) -> None:
        """Make a copy of the collection as of now in a new folder, by hard links: it takes no room till it differs.

        Open it like any collection, or copy it elsewhere. Errors: ConflictError if there is something; DiskError.
        """
        self._store.link_to(Path(folder))

    def close(self) -> None:
        """Stop upkeep, seal what is in memory, give the folder free. A second call does nothing. Errors: DiskError."""
        self._commits.close()
        if self._upkeep is not None:
            self._upkeep.stop()
            self._upkeep = None
        self._store.close()


def delete_collection(folder: Path | str, *, disk: Disk | None = None) -> None:
    """Remove a collection's folder, a damaged one too; killed on the way, the collection is whole or not there.

    Errors: LockedError if a process has it open for writing; NotFoundError; DiskError.
    """
    where, disk = Path(folder), disk or Disk()
    manifest = manifest_path(where)
    if not manifest.exists() and not any(where.glob("*.hk[sl]")):  # what is left where a deletion was cut off
        raise NotFoundError("holds no collection", where=str(where))
    lock = FolderLock(where)
    try:
        disk.remove(manifest)
        with telling_of(where):
            disk.sync_folder(where)
        disk.remove_folder(where)
    finally:
        lock.release()


def _grouped(points: Sequence[ScoredPoint], by: str, group_size: int) -> dict[Any, list[ScoredPoint]]:
    from hekla.vector.payload.paths import values_at

    grouped: dict[Any, list[ScoredPoint]] = {}
    for point in points:
        for value in dict.fromkeys(v for v in values_at(point.payload, by) if isinstance(v, str | int)):
            members = grouped.setdefault(value, [])
            if len(members) < group_size:
                members.append(point)
    return grouped
