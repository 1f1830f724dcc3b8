"""What is stored over a segment's rows beside them: graphs, payload indexes, sparse vectors turned about."""

import time
from collections.abc import Mapping

from hekla.vector.dense import graph_sections
from hekla.vector.payload.part_fields import field_sections, growing_fields
from hekla.vector.rows import AnyArray
from hekla.vector.schema import FieldSchema
from hekla.vector.sparse_index import sparse_sections
from hekla.vector.store import SegmentPlan
from hekla.vector.version import Part, Tail

_ROWS, _REST_S = 8, 50e-6  # half a millisecond of Python, then others have their turn


def segment_sections(plan: SegmentPlan) -> Mapping[str, AnyArray]:
    """Return the sections of a segment, by name."""
    for part in plan.old:
        if plan.schema.fields:
            _index_gently(part, plan.schema.fields)
    graphs = graph_sections(plan.rows, plan.schema, plan.same, threads=plan.threads) if plan.is_optimised else {}
    return {**graphs, **field_sections(plan.old, plan.kept, plan.schema.fields), **sparse_sections(plan.rows)}


def _index_gently(part: Part, fields: Mapping[str, FieldSchema]) -> None:
    """Index the payloads of points in memory that nobody filtered yet.

    It is Python, and would hold the interpreter for 5 ms each time that a reader or a writer comes back from native
    code: that is what the slowest of a hundred searches would wait for while a tail is sealed.
    """
    if isinstance(part.source, Tail):
        indexes = growing_fields(part.source, fields)
        for last in range(len(indexes) + _ROWS, len(part.rows), _ROWS):
            indexes.follow(part.rows.span(0, last))
            time.sleep(_REST_S)
