"""What is stored over a segment's rows beside them: graphs, payload indexes, sparse vectors turned about."""

from collections.abc import Mapping

from hekla.vector.dense import graph_sections
from hekla.vector.payload.part_fields import field_sections
from hekla.vector.rows import AnyArray
from hekla.vector.sparse_index import sparse_sections
from hekla.vector.store import SegmentPlan


def segment_sections(plan: SegmentPlan) -> Mapping[str, AnyArray]:
    """Return the sections of a segment, by name."""
    graphs = graph_sections(plan.rows, plan.schema, plan.same, threads=plan.threads) if plan.is_optimised else {}
    return {**graphs, **field_sections(plan.old, plan.kept, plan.schema.fields), **sparse_sections(plan.rows)}
