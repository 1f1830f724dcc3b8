# mypy: ignore-errors
# one kernel below is written in Hekla's language, which has a type checker of its own
"""Distances of vectors beside SimSIMD and NumKong: a pair, and one query to many rows that fit the L2 cache."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.peers import peer
from benchmarks.lang.table import Row, measure
from hekla.kernels import distances, distances_i8
from hekla.lang import MutView, View, f32, kernel, sqrt

DIMENSIONS = (96, 128, 384, 768, 1024, 1536)
L2_BYTES = 200_000
# our name -> (SimSIMD's, NumKong's, SimSIMD's metric, NumKong's metric)
NAMES = {
    "dot": ("inner", "dot", "dot", "dot"),
    "squared_l2": ("sqeuclidean", "sqeuclidean", "sqeuclidean", "sqeuclidean"),
    "cosine": ("cosine", "angular", "cosine", "angular"),
}
TYPES = {"": np.float32, "_f16": np.float16, "_i8": np.int8}


@kernel(inline=True)
def scalar_cosine(x: View[f32, 1], y: View[f32, 1]) -> f32:
    """The same without vectors: LLVM may not reorder the sums, so this stays a scalar loop, as C at -O2."""
    xy = f32(0.0)
    xx = f32(0.0)
    yy = f32(0.0)
    for i in range(len(x)):
        xy += x[i] * y[i]
        xx += x[i] * x[i]
        yy += y[i] * y[i]
    return xy / (sqrt(xx) * sqrt(yy))


@kernel
def scalar_cosines(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    for r in range(len(out)):
        out[r] = scalar_cosine(query, rows[r])


@kernel
def cosines_one_by_one(query: View[f32, 1], rows: View[f32, 2], out: MutView[f32, 1]):
    for r in range(len(out)):
        out[r] = distances.cosine_pair(query, rows[r])


def rows(_limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure every type, distance and dimension; the calls from Python are part of the time on all sides."""
    rng = np.random.default_rng(0)
    for dimension in DIMENSIONS:
        for ending, dtype in TYPES.items():
            for name in NAMES:
                yield from _distance(rng, name, ending, dtype, dimension, seconds / 4)
    query, many = rng.normal(size=1024).astype(np.float32), rng.normal(size=(32, 1024)).astype(np.float32)
    out = np.zeros(32, np.float32)
    peers = {"scalar loop": partial(scalar_cosines, query, many, out)}
    ours = partial(cosines_one_by_one, query, many, out)
    yield measure("cosine, without the call", "1024", ours, peers, seconds, work=32, unit="ns")


def _numbers(rng, dtype, shape):
    if dtype is np.int8:
        return rng.integers(-127, 128, shape, dtype=np.int8)
    return rng.normal(size=shape).astype(dtype)


def _distance(rng, name, ending, dtype, dimension, seconds) -> Iterator[Row]:
    module = distances_i8 if dtype is np.int8 else distances
    simsimd, numkong = peer("simsimd"), peer("numkong")
    sim, kong, sim_metric, kong_metric = NAMES[name]
    x, y = _numbers(rng, dtype, (2, dimension))
    entry = getattr(module, name + ending).compile().entry  # the built-in function, as the peers' are
    peers = {
        "SimSIMD": simsimd and partial(getattr(simsimd, sim), x, y),
        "NumKong": numkong and partial(getattr(numkong, kong), x, y),
    }
    yield measure(name + ending, f"{dimension}", partial(entry, x, y), peers, seconds, unit="ns")
    count = max(64, L2_BYTES // (dimension * x.itemsize))
    many, query = _numbers(rng, dtype, (count, dimension)), x[None]
    out = np.zeros(count, np.float32)
    entry_many = getattr(module, f"{name}{ending}_many").compile().entry
    peers = {
        "SimSIMD": simsimd and partial(simsimd.cdist, query, many, metric=sim_metric),
        "NumKong": numkong and partial(numkong.cdist, query, many, metric=kong_metric),
    }
    size = f"{dimension}, {count} rows"
    yield measure(
        f"{name}{ending}_many", size, partial(entry_many, x, many, out), peers, seconds, work=count, unit="ns"
    )
