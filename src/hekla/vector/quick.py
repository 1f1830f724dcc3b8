"""The short way of most searches: the nearest of one vector in one segment with a graph, and nothing else asked.

It gives what the ordinary way gives, in half the Python. What it does not know (filters, points in memory, deleted
rows, UUIDs, lists instead of arrays, anything wrong) it leaves to the ordinary way, which also says what is wrong.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hekla.base.errors import InputError
from hekla.vector.dense import DEFAULT_EF, cold_reads_of, graph_of
from hekla.vector.index.cold import ColdReads
from hekla.vector.index.graph import GraphIndex
from hekla.vector.point import ScoredPoint
from hekla.vector.ranks import score_of
from hekla.vector.rows import AnyArray
from hekla.vector.schema import VectorSchema
from hekla.vector.version import Version

_MAX_LIMIT = 10_000
_F32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class QuickWay:
    """One graph that answers for a whole version."""

    vector: VectorSchema
    shape: tuple[int]
    graph: GraphIndex
    values: AnyArray  # (n, d) the vectors as stored
    ids: AnyArray  # (n,) numbers
    cold: ColdReads | None  # what brings the graph from disk, None where it is in memory

    def search(self, query: Any, limit: Any, ef: Any) -> list[ScoredPoint] | None:
        """Return the nearest points, None where the ordinary way must answer. Any: whatever the caller passed."""
        if type(query) is not np.ndarray or query.dtype != _F32 or query.shape != self.shape:
            return None
        if type(limit) is not int or not 1 <= limit <= _MAX_LIMIT or not (ef is None or type(ef) is int):
            return None
        if self.vector.metric == "cosine":
            length = float(np.dot(query, query)) ** 0.5
            if not 0 < length < np.inf:
                return None
            query = query / np.float32(length)
        try:
            if self.cold is not None and self.cold.is_needed:
                self.cold.bring(query, limit, max(ef or DEFAULT_EF, limit))
            found = self.graph.search(query, limit, ef=max(ef or DEFAULT_EF, limit), originals=self.values)
        except InputError:
            return None
        scores = score_of(self.vector.metric, found.distances.astype(np.float64), is_multi=False)
        return list(map(ScoredPoint, self.ids[found.rows].tolist(), scores.tolist()))


def quick_way(version: Version, using: str) -> QuickWay | None:
    """Return the short way through a version, None where there is none."""
    vector = version.schema.vectors.get(using)
    parts = [part for part in version.parts if part.live]
    if vector is None or vector.dtype != "f32" or len(parts) != 1:
        return None
    (part,) = parts
    graph = graph_of(part, using)
    column = part.rows.dense[using]
    is_plain = part.live == len(part.rows) and column.is_present is None and not part.rows.ids.is_uuid.any()
    if graph is None or not is_plain:
        return None
    return QuickWay(vector, (vector.dimension,), graph, column.values, part.rows.ids.low, cold_reads_of(part, using))
