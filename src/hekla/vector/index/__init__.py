"""Indexes over vectors: exact and by graph, as values that are built, written as one blob, mapped and searched."""

from hekla.vector.index.blob import IndexFileError, blob_parts, index_of, open_index, verify, write_index
from hekla.vector.index.build import GraphOptions, build_graph
from hekla.vector.index.flat import exact_distances, reranked, search_flat
from hekla.vector.index.found import Bitmap, Found, FoundMany, bitmap_of
from hekla.vector.index.graph import GraphIndex
from hekla.vector.index.metric import Metric
from hekla.vector.index.mutable import GrowingGraph
from hekla.vector.index.plan import Plan, Way, plan_collection, plan_graph

__all__ = [
    "Bitmap",
    "Found",
    "FoundMany",
    "GraphIndex",
    "GraphOptions",
    "GrowingGraph",
    "IndexFileError",
    "Metric",
    "Plan",
    "Way",
    "bitmap_of",
    "blob_parts",
    "build_graph",
    "exact_distances",
    "index_of",
    "open_index",
    "plan_collection",
    "plan_graph",
    "reranked",
    "search_flat",
    "verify",
    "write_index",
]
