"""The same data and seed give the same bytes of an index: every form, metric and type, whatever the threads."""

from typing import Any

import numpy as np
import pytest

from hekla.vector.index.blob import blob_parts
from hekla.vector.index.build import GraphOptions, build_graph
from hekla.vector.index.graph import GraphIndex
from hekla.vector.index.metric import Metric

pytestmark = pytest.mark.slow

POINTS = np.random.default_rng(4).normal(size=(1500, 20)).astype(np.float32)
OPTIONS: dict[str, GraphOptions] = {
    "": GraphOptions(),
    "1 bit": GraphOptions(bits=1),
    "another seed": GraphOptions(seed=9),
}


def bytes_of(index: GraphIndex) -> bytes:
    return b"".join(bytes(part) for part in blob_parts(index))


@pytest.mark.parametrize("metric", [Metric.L2, Metric.DOT, Metric.COSINE])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_graph_and_its_compact_forms_are_the_same_with_any_threads(metric: Metric, name: str) -> None:
    built = {threads: build_graph(POINTS, metric, OPTIONS[name], threads=threads) for threads in (1, 4)}
    again = build_graph(POINTS.copy(), metric, OPTIONS[name], threads=3)
    assert bytes_of(built[1]) == bytes_of(built[4]) == bytes_of(again)
    for own_bits in (16, 8, 4):
        small = [bytes_of(index.compacted(own_bits, threads=threads)) for threads, index in built.items()]
        assert small[0] == small[1]
        assert small[0] != bytes_of(built[1])


@pytest.mark.parametrize("dtype", [np.float16, np.int8])
def test_a_graph_over_small_types_is_the_same_with_any_threads(dtype: Any) -> None:
    points = (POINTS * 20).astype(dtype)
    assert bytes_of(build_graph(points, Metric.L2, threads=1)) == bytes_of(build_graph(points, Metric.L2, threads=4))


def test_another_seed_or_point_gives_other_bytes() -> None:
    one = bytes_of(build_graph(POINTS, Metric.L2, GraphOptions(seed=1)))
    assert one != bytes_of(build_graph(POINTS, Metric.L2, GraphOptions(seed=2)))
    changed = POINTS.copy()
    changed[7, 3] += 1
    assert one != bytes_of(build_graph(changed, Metric.L2, GraphOptions(seed=1)))
