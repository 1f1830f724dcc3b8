"""One collection as one caller sees it: a tenant reads and writes its own points only.

The tenant's name stands in every point's payload, at the schema's `tenant_field`: it is added to every filter and
forced on every write. An id belongs to who wrote it first; another tenant's write to it is refused.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hekla.base.errors import ConflictError, DeniedError, NotFoundError, TooLargeError
from hekla.protocols.api import Caller
from hekla.vector.collection import Collection, SearchResult
from hekla.vector.edits import Selection
from hekla.vector.filters import Filter, HasId, Match
from hekla.vector.payload.paths import values_at
from hekla.vector.point import Payload, Point, PointId, Record, ScoredPoint
from hekla.vector.queries import Discover, Diverse, Nearest, Recommend, Search
from hekla.vector.records import ID_ONLY, Wanted


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may do with a collection. Errors: as Collection, and DeniedError for what is not the caller's."""

    collection: Collection
    caller: Caller
    writing: threading.Lock
    tenant_points: int = 0  # a tenant's quota; 0: none

    def __post_init__(self) -> None:
        if self.caller.tenant and not self.collection.schema.tenant_field:
            raise DeniedError(
                "the collection is not parted between tenants",
                cure="set tenant_field in [apis.vector] before collections are made, or use a key without a tenant",
            )

    @property
    def _own(self) -> Match | None:
        if not self.caller.tenant:
            return None
        return Match(self.collection.schema.tenant_field, (self.caller.tenant,))

    def filter(self, filter_: Filter | None) -> Filter | None:
        """Return a filter narrowed to the caller's points."""
        own = self._own
        if own is None:
            return filter_
        return Filter(must=(own,) if filter_ is None else (own, filter_))

    def selection(self, selection: Selection) -> Selection:
        """Return a selection narrowed to the caller's points."""
        own = self._own
        if own is None:
            return selection
        if isinstance(selection, Filter):
            return Filter(must=(own, selection))
        return Filter(must=(own, HasId(tuple(selection))))

    # ---- reading

    def query(self, search: Search, wanted: Wanted) -> SearchResult:
        """Search."""
        if self._own is None:
            return self.collection.query(search, wanted)
        self._check_examples(search)
        return self.collection.query(replace(search, filter=self.filter(search.filter)), wanted)

    def query_groups(
        self, search: Search, by: str, *, groups: int, group_size: int, wanted: Wanted
    ) -> list[tuple[Any, list[ScoredPoint]]]:
        """Search by groups. Any: the payload's value."""
        if self._own is not None:
            self._check_examples(search)
            search = replace(search, filter=self.filter(search.filter))
        return self.collection.query_groups(search, by, groups=groups, group_size=group_size, wanted=wanted)

    def retrieve(self, ids: Sequence[PointId], wanted: Wanted) -> list[Record]:
        """Return points by id."""
        mine = ids if self._own is None else self._mine(ids)
        return self.collection.retrieve(mine, wanted)

    def _mine(self, ids: Sequence[PointId]) -> list[PointId]:
        field = self.collection.schema.tenant_field
        found = self.collection.retrieve(ids, Wanted(payload=(field,)))
        return [record.id for record in found if self.caller.tenant in values_at(record.payload, field)]

    def _check_examples(self, search: Search) -> None:
        query = search.query
        examples: list[object] = []
        if isinstance(query, Nearest | Diverse):
            examples = [query.vector]
        elif isinstance(query, Recommend):
            examples = [*query.positive, *query.negative]
        elif isinstance(query, Discover):
            examples = [query.target, *(side for pair in query.context for side in pair)]
        ids = [example for example in examples if isinstance(example, PointId)]
        strange = set(ids) - set(self._mine(ids))
        if strange:
            raise NotFoundError(f"no point {min(map(str, strange))}", where="$.query")
        for each in search.prefetch:
            self._check_examples(each)

    # ---- writing

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points."""
        if self._own is None:
            self.collection.upsert(points)
            return
        field, tenant = self.collection.schema.tenant_field, self.caller.tenant
        own = [Point(point.id, point.vectors, {**point.payload, field: tenant}) for point in points]
        with self.writing:
            ids = list(dict.fromkeys(point.id for point in own))
            there = [record.id for record in self.collection.retrieve(ids, ID_ONLY)]
            strange = set(there) - set(self._mine(there))
            if strange:
                raise ConflictError(f"id {min(map(str, strange))} is taken", where="$.points", cure="use UUIDs as ids")
            if self.tenant_points:
                count = self.collection.count(self.filter(None)) + len(ids) - len(there)
                if count > self.tenant_points:
                    limit = f"{self.tenant_points} points a tenant"
                    raise TooLargeError("$.points", limit=limit, got=str(count), cure="delete points first")
            self.collection.upsert(own)

    def edit_payload(self, edit: Callable[[dict[str, Any]], Payload], selection: Selection) -> int:
        """Edit payloads; the tenant's field stays as it is. Any: JSON."""
        if self._own is None:
            return self.collection.edit_payload(edit, selection)
        field, tenant = self.collection.schema.tenant_field, self.caller.tenant

        def kept(old: dict[str, Any]) -> Mapping[str, Any]:
            return {**edit(old), field: tenant}

        return self.collection.edit_payload(kept, self.selection(selection))

    def update_vectors(self, points: Sequence[Point]) -> int:
        """Set vectors."""
        if self._own is None:
            return self.collection.update_vectors(points)
        with self.writing:
            strange = {point.id for point in points} - set(self._mine([point.id for point in points]))
            if strange:
                raise NotFoundError(f"no point {min(map(str, strange))}", where="$.points")
            return self.collection.update_vectors(points)

    def for_all(self) -> None:
        """Refuse what concerns every tenant's data. Errors: DeniedError."""
        refuse_tenant(self.caller)


def refuse_tenant(caller: Caller) -> None:
    """Refuse a tenant's key where collections as a whole are changed or copied. Errors: DeniedError."""
    if caller.tenant:
        raise DeniedError("a tenant's key is for points", cure="use a key without a tenant")
