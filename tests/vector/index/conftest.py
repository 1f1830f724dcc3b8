"""Sets of vectors the index tests share."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hekla.vector.index import GraphIndex, Metric, build_graph

Floats = NDArray[np.float32]


def clusters(count: int, dimension: int, seed: int, *, groups: int = 12) -> Floats:
    """Return points around a few centres, each stretched its own way."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, dimension)) * 2
    axes = rng.normal(size=(groups, 16, dimension)) / 4
    which = rng.integers(0, groups, count)
    inside = np.einsum("ij,ijk->ik", rng.normal(size=(count, 16)), axes[which])
    return np.asarray(centres[which] + inside, np.float32)


@pytest.fixture(scope="session")
def points() -> Floats:
    """3000 clustered points of 40 coordinates."""
    return clusters(3000, 40, 0)


@pytest.fixture(scope="session")
def queries() -> Floats:
    """Queries near the same points."""
    return clusters(3030, 40, 0)[-30:]


@pytest.fixture(scope="session")
def index(points: Floats) -> GraphIndex:
    """The graph of `points` under L2."""
    return build_graph(points, Metric.L2, threads=2)
