"""Nearest rows of one part: by its graph where it has one that pays, else exactly.

A segment's graph is section `graph.NAME` (docs/formats/vector-index.md), over all rows; rows without the vector are
never allowed. It is built over f32, f16 and i8 vectors of l2, dot and cosine.
"""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from hekla.base.errors import ConfigError, InputError, nearest_name, quoted
from hekla.vector import bitmap
from hekla.vector.hits import Hits, best_of, hits_in
from hekla.vector.index.blob import IndexFileError, blob_parts, index_of
from hekla.vector.index.build import GraphOptions, build_graph
from hekla.vector.index.graph import GraphIndex
from hekla.vector.index.metric import Metric as ExactMetric
from hekla.vector.ranks import max_sim_ranks, ranks_of
from hekla.vector.rows import AnyArray, Rows
from hekla.vector.schema import CollectionSchema, VectorSchema
from hekla.vector.segment import Segment
from hekla.vector.version import Part

GRAPH_ROWS = 10_000  # fewer rows are scanned sooner than a graph over them is walked
DEFAULT_EF = 100
_METRICS = {"l2": ExactMetric.L2, "dot": ExactMetric.DOT, "cosine": ExactMetric.COSINE}


def has_graph(vector: VectorSchema, rows: int) -> bool:
    """Return whether a segment of so many rows gets a graph for this vector."""
    is_kind = vector.metric in _METRICS and vector.dtype != "binary" and not vector.is_multi
    return is_kind and rows >= GRAPH_ROWS


def graph_sections(
    rows: Rows, schema: CollectionSchema, same: Segment | None, *, threads: int = 1
) -> Mapping[str, AnyArray]:
    """Return the graphs over these rows; those of `same`, a segment with the very rows, are taken as they are."""
    sections: dict[str, AnyArray] = {}
    for name, vector in schema.vectors.items():
        section = f"graph.{name}"
        if same is not None and section in same.sections:
            sections[section] = same.sections[section]
        elif has_graph(vector, len(rows)):
            options, own_bits = graph_options(vector, f"$.vectors.{name}.index")
            index = build_graph(rows.dense[name].values, _METRICS[vector.metric], options, threads=threads)
            if own_bits:
                index = index.compacted(own_bits, threads=threads)
            sections[section] = np.concatenate([np.frombuffer(part, np.uint8) for part in blob_parts(index)])
    return sections


def graph_of(part: Part, name: str) -> GraphIndex | None:
    """Return the graph over a part's vectors, None where there is none."""
    segment = part.source
    if not isinstance(segment, Segment) or f"graph.{name}" not in segment.sections:
        return None
    key = f"graph.{name}"
    if key not in segment.derived:
        try:
            segment.derived[key] = index_of(segment.sections[key], where=str(segment.file.path))
        except IndexFileError:
            segment.derived[key] = None  # damaged: `verify` says so, and searches compare with every vector
    found: GraphIndex | None = segment.derived[key]
    return found


def nearest_in(
    number: int,
    part: Part,
    name: str,
    query: AnyArray,
    limit: int,
    *,
    schema: CollectionSchema,
    allowed: bitmap.Words | None,
) -> Hits:
    """Return the nearest live rows of one part, measured in NumPy: of what no kernel knows. query: (m, row_shape)."""
    rows = _candidates(part, allowed)
    return best_of([hits_in(number, rows, exact_ranks(part, name, query, rows, schema))], limit)


def graph_options(vector: VectorSchema, where: str) -> tuple[GraphOptions, int]:
    """Return how a vector's graph is built, and the bits of own codes of a compact one, 0 for whole vectors.

    `index` of the schema takes `GraphOptions`' names and `compact`: 16, 8 or 4. Errors: ConfigError naming the key.
    """
    given = dict(vector.index)
    own_bits = given.pop("compact", 0)
    known = [field.name for field in fields(GraphOptions)]
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"unknown key {quoted(key)}", where=where, cure=nearest_name(key, [*known, "compact"]))
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"must be a whole number, got {quoted(value)}", where=f"{where}.{key}")
    if own_bits not in (0, 16, 8, 4):
        raise ConfigError(f"must be 16, 8 or 4 bits, got {quoted(own_bits)}", where=f"{where}.compact")
    try:
        return GraphOptions(**given), own_bits
    except InputError as error:
        raise ConfigError(error.message, where=f"{where}.{error.where}") from error


def exact_metric(vector: VectorSchema) -> ExactMetric | None:
    """Return the metric under which the kernels scan such vectors, None where only `ranks_of` knows it."""
    if vector.is_multi:
        return None
    if vector.dtype == "binary":
        return ExactMetric.HAMMING if vector.metric in ("l2", "manhattan") else None
    if vector.metric == "manhattan":
        return ExactMetric.MANHATTAN if vector.dtype != "i8" else None
    return _METRICS[vector.metric]


def exact_ranks(part: Part, name: str, query: AnyArray, rows: AnyArray, schema: CollectionSchema) -> AnyArray:
    """Return the distance of each of these rows from a query, infinity for rows without the vector."""
    vector, column = schema.vectors[name], part.rows.dense[name]
    if vector.is_multi:
        return max_sim_ranks(vector, column, rows, query)
    ranks = ranks_of(vector, column.values if len(rows) == len(column.values) else column.values[rows], query[0])
    if column.is_present is not None:
        ranks[~column.is_present[rows]] = np.inf
    return ranks


def _candidates(part: Part, allowed: bitmap.Words | None) -> AnyArray:
    n = len(part.rows)
    if allowed is None:
        return np.arange(n) if part.live == n else bitmap.members(~part.deleted, n)
    return bitmap.members(allowed & ~part.deleted, n)
