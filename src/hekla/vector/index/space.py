"""The space a graph lives in: vectors centred, scaled and rotated, in which every metric is a squared distance.

Inner product: |q - x|^2 + M^2 - |x|^2 = |q|^2 + M^2 - 2 <q, x>, so a node that adds M^2 - |x|^2 to its squared
distance, M being the largest length, is the nearer the larger its product (Bachrach et al., RecSys 2014). Cosine:
vectors of length 1; a zero vector adds 1, which puts it at 1 - cosine = 1.
"""

from dataclasses import dataclass

import numpy as np

from hekla.base.errors import UnsupportedError
from hekla.kernels.graph_layout import padded_width
from hekla.kernels.graph_rotate import rotate_rows, rotation_signs
from hekla.vector.index.metric import Floats, Metric, as_rows, normalised

SAMPLE = 100_000  # rows the mean and the scale are taken from
GRAPH_METRICS = (Metric.L2, Metric.DOT, Metric.COSINE)


@dataclass(frozen=True, slots=True)
class Space:
    """mean (dimension,) f32; signs (4, width) f32; scale brings coordinates to a size of about 1, as f16 likes them."""

    metric: Metric
    mean: Floats
    signs: Floats
    scale: float
    largest_square: float  # M^2 of inner products; 0 for the other metrics

    @property
    def dimension(self) -> int:
        """Coordinates of a vector as given."""
        return len(self.mean)

    @property
    def width(self) -> int:
        """Coordinates of a vector as kept."""
        return int(self.signs.shape[1])

    def prepared(self, vectors: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", where: str) -> Floats:
        """Return vectors as f32 rows, of length 1 under cosine. Errors: as `as_rows`."""
        rows = as_rows(vectors, self.dimension, where)
        return normalised(rows) if self.metric is Metric.COSINE else rows

    def rotated(self, rows: Floats) -> Floats:
        """Return prepared rows (n, dimension) as points (n, width)."""
        out = np.zeros((len(rows), self.width), np.float32)
        rotate_rows(rows, self.mean, self.signs, self.scale, out)
        return out

    def added(self, rows: Floats) -> Floats:
        """Return (n,): what each prepared row adds to its squared distance; 0 where it is longer than M."""
        squares = np.einsum("ij,ij->i", rows, rows)
        if self.metric is Metric.DOT:
            more: Floats = np.maximum((self.largest_square - squares) * self.scale**2, 0).astype(np.float32)
            return more
        if self.metric is Metric.COSINE:
            return np.asarray(np.where(squares == 0, self.scale**2, 0.0), np.float32)
        return np.zeros(len(rows), np.float32)

    def factor(self) -> float:
        """Return what turns a squared distance of points into a distance of the metric, with `constants`."""
        return (1.0 if self.metric is Metric.L2 else 0.5) / self.scale**2

    def constants(self, queries: Floats) -> Floats:
        """Return (q,): what is added after `factor`, for prepared queries."""
        if self.metric is Metric.DOT:
            squares = np.einsum("ij,ij->i", queries, queries)
            return np.asarray(-0.5 * (squares + self.largest_square), np.float32)
        return np.zeros(len(queries), np.float32)


def space_of(metric: Metric, rows: Floats, seed: int) -> Space:
    """Return the space for some prepared rows, (n, dimension) f32; n may be 0.

    Errors: UnsupportedError for a metric that has no graph.
    """
    if metric not in GRAPH_METRICS:
        raise UnsupportedError(f"no graph is searched by {metric.name}", where="metric", cure="use exact search")
    dimension = rows.shape[1]
    sample = rows[:: max(1, len(rows) // SAMPLE)]
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32) if len(rows) else np.zeros(dimension, np.float32)
    spread = float(np.square(sample - mean, dtype=np.float64).mean()) if len(rows) else 0.0
    largest = float(np.einsum("ij,ij->i", rows, rows).max()) if metric is Metric.DOT and len(rows) else 0.0
    # f32 holds the scale exactly: what is computed with it in kernels and in NumPy is the same
    scale = float(np.float32(1 / np.sqrt(spread))) if spread > 0 else 1.0
    return Space(metric, mean, rotation_signs(padded_width(dimension), seed), scale, largest)
