"""Any collection, embedded or remote, for asyncio: the same methods, awaited.

The work itself is synchronous and runs on threads of this object: kernels and sockets both let other threads run.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from hekla.vector.client.remote import RemoteCollection
from hekla.vector.collection import Collection, SearchResult
from hekla.vector.edits import Selection
from hekla.vector.filters import Filter
from hekla.vector.point import Payload, Point, PointId, Record, ScoredPoint, Vector
from hekla.vector.queries import Search
from hekla.vector.records import ALL, WITH_PAYLOAD, Wanted
from hekla.vector.rows import AnyArray
from hekla.vector.schema import FieldSchema

_P = ParamSpec("_P")
_T = TypeVar("_T")
_FEW_POINTS = 16  # are copied sooner than a thread is woken


class AsyncCollection:
    """One collection. Values and errors are those of `Collection`. Use it in an `async with`, or await `close`.

    The collection itself stays the caller's: closing this does not close it.
    """

    def __init__(self, collection: Collection | RemoteCollection, *, threads: int = 4) -> None:
        self._collection = collection
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hekla-collection")

    async def __aenter__(self) -> "AsyncCollection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, work: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **more))

    async def upsert(self, points: Sequence[Point]) -> None:
        """Add points, in place of those with their ids. Those that are awaited at the same time share a sync."""
        if isinstance(self._collection, Collection) and len(points) <= _FEW_POINTS:
            await asyncio.wrap_future(self._collection.submit(points))
        else:
            await self._run(self._collection.upsert, points)

    async def upsert_arrays(
        self,
        ids: NDArray[np.uint64] | Sequence[PointId],
        vectors: AnyArray | Mapping[str, AnyArray],
        payloads: Sequence[Payload] | None = None,
    ) -> None:
        """Add points from arrays."""
        await self._run(self._collection.upsert_arrays, ids, vectors, payloads)

    async def delete(self, selection: Selection) -> int:
        """Remove points and return how many there were."""
        return await self._run(self._collection.delete, selection)

    async def set_payload(self, payload: Payload, selection: Selection) -> int:
        """Set these keys of the points' payloads, keeping others."""
        return await self._run(self._collection.set_payload, payload, selection)

    async def overwrite_payload(self, payload: Payload, selection: Selection) -> int:
        """Replace the points' payloads."""
        return await self._run(self._collection.overwrite_payload, payload, selection)

    async def delete_payload(self, keys: Iterable[str], selection: Selection) -> int:
        """Remove these keys of the points' payloads."""
        return await self._run(self._collection.delete_payload, keys, selection)

    async def clear_payload(self, selection: Selection) -> int:
        """Remove the points' payloads."""
        return await self._run(self._collection.clear_payload, selection)

    async def update_vectors(self, points: Sequence[Point]) -> int:
        """Set these vectors of points that are there."""
        return await self._run(self._collection.update_vectors, points)

    async def delete_vectors(self, names: Iterable[str], selection: Selection) -> int:
        """Remove these vectors of the points."""
        return await self._run(self._collection.delete_vectors, names, selection)

    async def create_field(self, path: str, field: FieldSchema) -> None:
        """Make a payload index."""
        await self._run(self._collection.create_field, path, field)

    async def delete_field(self, path: str) -> None:
        """Remove a payload index."""
        await self._run(self._collection.delete_field, path)

    async def search(self, vector: Vector, limit: int = 10, *, using: str = "", **more: Any) -> list[ScoredPoint]:
        """Return the points nearest to a vector. Any: as `Search` has them."""
        return await self._run(self._collection.search, vector, limit, using=using, **more)

    async def query(self, search: Search, wanted: Wanted = WITH_PAYLOAD) -> SearchResult:
        """Return what a search finds."""
        return await self._run(self._collection.query, search, wanted)

    async def query_groups(
        self, search: Search, by: str, *, groups: int = 10, group_size: int = 3, wanted: Wanted = WITH_PAYLOAD
    ) -> list[tuple[Any, list[ScoredPoint]]]:
        """Return the best points of the best groups. Any: the payload's value."""
        return await self._run(
            self._collection.query_groups, search, by, groups=groups, group_size=group_size, wanted=wanted
        )

    async def retrieve(self, ids: Sequence[PointId], wanted: Wanted = ALL) -> list[Record]:
        """Return the points with these ids."""
        return await self._run(self._collection.retrieve, ids, wanted)

    async def count(self, filter_: Filter | None = None) -> int:
        """Return how many points there are that a filter holds for."""
        return await self._run(self._collection.count, filter_)

    async def scroll(
        self,
        *,
        filter_: Filter | None = None,
        after: PointId | None = None,
        limit: int = 10,
        wanted: Wanted = WITH_PAYLOAD,
    ) -> tuple[list[Record], PointId | None]:
        """Return points in the order of their ids, and where the next page begins."""
        return await self._run(self._collection.scroll, filter_=filter_, after=after, limit=limit, wanted=wanted)

    async def facet(self, path: str, *, filter_: Filter | None = None, limit: int = 10) -> list[tuple[str | int, int]]:
        """Return the values at a path, and how many points have each."""
        return await self._run(self._collection.facet, path, filter_=filter_, limit=limit)

    async def close(self) -> None:
        """Finish what is under way and end the threads."""
        await asyncio.to_thread(self._pool.shutdown)
