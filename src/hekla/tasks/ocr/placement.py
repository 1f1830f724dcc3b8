"""Where a picture lies in a detector's input: what size it gets and how to come back from there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.tasks.options import require

_GRID = 32  # the detector halves its input five times
_LONGEST_RATIO = 8  # of the input's sides; a longer picture is padded or loses detail


@dataclass(frozen=True, slots=True)
class PlacementOptions:
    """The table of `ocr.detect.preprocess`: sizes in pixels."""

    min_side: int = 736  # a picture whose shorter side is less is enlarged to it
    max_side: int = 2000  # one whose longer side is more is shrunk to it first
    min_height: int = 30  # one at most this high gets black above and below

    def __post_init__(self) -> None:
        require("min_side", self.min_side, at_least=_GRID, at_most=4096)
        require("max_side", self.max_side, at_least=_GRID, at_most=8192)
        require("min_height", self.min_height, at_least=0, at_most=4096)


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture of `height` x `width` in a network input of `net_height` x `net_width`.

    It fills all columns, and the rows from `top` on, `content_height` of them; the other rows are padding.
    """

    height: int
    width: int
    net_height: int
    net_width: int
    top: int
    content_height: int

    def to_picture(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (..., 2) x, y of the network's input as pixels of the picture, those outside moved to its edge."""
        scaled = (points - (0, self.top)) * (self.width / self.net_width, self.height / self.content_height)
        return np.clip(np.round(scaled), 0, (self.width - 1, self.height - 1))


def place(height: int, width: int, options: PlacementOptions) -> Placement:
    """Return where a picture of that size goes.

    As RapidOCR: shrink to `max_side`, pad pictures that are low or over 8 times as wide as high, enlarge to
    `min_side`, round both sides to 32. Differs: it is one resize instead of two; and a picture over 8 times as
    high as wide is enlarged less, because RapidOCR's input for it has no upper bound (30 x 2000 pixels would need
    several GB). So the input's longer side is at most the larger of `max_side` and 8 `min_side`, plus rounding.
    """
    shrink = min(1.0, options.max_side / max(height, width))
    low = height * shrink <= options.min_height
    if low or width > _LONGEST_RATIO * height:
        padded_height = 2 * max(width / _LONGEST_RATIO, options.min_height / shrink)
    else:
        padded_height = float(height)
    shorter, longer = sorted((padded_height * shrink, width * shrink))
    enlarge = max(1.0, min(options.min_side / shorter, _LONGEST_RATIO * options.min_side / longer))
    net_height = _on_grid(padded_height * shrink * enlarge)
    net_width = _on_grid(width * shrink * enlarge)
    content_height = min(max(round(net_height * height / padded_height), 1), net_height)
    return Placement(height, width, net_height, net_width, (net_height - content_height) // 2, content_height)


def _on_grid(side: float) -> int:
    return max(round(int(side) / _GRID) * _GRID, _GRID)
