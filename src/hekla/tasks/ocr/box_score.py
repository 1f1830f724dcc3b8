"""The mean of a map inside boxes, by running sums along its rows."""

import numpy as np
from numpy.typing import NDArray


class BoxScores:
    """Answers means over boxes of one map; each costs only the box's rows."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        """Take a (height, width) map; its running sums are made once, in f64."""
        self._height, self._width = values.shape
        self._sums = np.zeros((self._height, self._width + 1))
        np.cumsum(values, axis=1, dtype=np.float64, out=self._sums[:, 1:])

    def mean(self, corners: NDArray[np.float64]) -> float:
        """Return the mean over the pixels of a convex quadrilateral, 0.0 if it holds none.

        Shapes:  corners (4, 2) as x, y of pixel centres, in order around; parts outside the map do not count.
        Pixels:  per row, from the left border rounded to the right border rounded, both included. OpenCV's fillPoly,
                 which RapidOCR scores with, first cuts the corners to whole pixels: scores differ by about 0.01.
        """
        first = max(int(np.ceil(corners[:, 1].min() - 0.5)), 0)
        last = min(int(np.floor(corners[:, 1].max() + 0.5)), self._height - 1)
        rows = np.arange(first, last + 1)
        left, right = _borders(corners, rows.astype(np.float64))
        start = np.floor(left + 0.5).clip(0, self._width).astype(np.intp)
        stop = (np.floor(right + 0.5) + 1).clip(0, self._width).astype(np.intp)
        stop = np.maximum(start, stop)
        pixels = int((stop - start).sum())
        return float((self._sums[rows, stop] - self._sums[rows, start]).sum()) / pixels if pixels else 0.0


def _borders(
    corners: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where each row enters and leaves the quadrilateral; rows just beyond it count as its first or last."""
    rows = rows.clip(corners[:, 1].min(), corners[:, 1].max())[:, None]
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    rise = y1 - y0
    part = (rows - y0) / np.where(rise == 0, 1, rise)  # (rows, 4): how far along each side the row crosses it
    crosses = (rise != 0) & (part >= -_SLACK) & (part <= 1 + _SLACK)
    x = x0 + part.clip(0, 1) * (x1 - x0)
    level = (rise == 0) & (rows == y0)  # a side in the row itself counts with both its ends
    lows = np.where(crosses, x, np.where(level, np.minimum(x0, x1), np.inf))
    highs = np.where(crosses, x, np.where(level, np.maximum(x0, x1), -np.inf))
    return lows.min(axis=1), highs.max(axis=1)


_SLACK = 1e-9  # rounding of a row that passes through a corner
