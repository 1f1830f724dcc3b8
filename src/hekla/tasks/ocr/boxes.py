"""From a detector's map of where text is to boxes around its lines (Liao et al., arXiv:1911.08947, section 3.4)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.tasks.ocr.box_score import BoxScores
from hekla.tasks.ocr.components import Runs, connected_runs
from hekla.tasks.ocr.hull import convex_hull
from hekla.tasks.ocr.placement import Placement
from hekla.tasks.ocr.rectangle import smallest_rectangle
from hekla.tasks.options import require

_MIN_SIDE = 3  # cells of the map: a smaller component is a speck
_MIN_PIXELS = 3  # of the picture: a box with a side this short or shorter shows no letter


@dataclass(frozen=True, slots=True)
class BoxOptions:
    """How boxes are found."""

    threshold: float = 0.3  # of the map: above it is text
    box_threshold: float = 0.5  # of a box's mean
    unclip_ratio: float = 1.6  # how far a box is widened, times its area by its perimeter
    max_boxes: int = 1000  # components looked at, the largest first
    line_gap: float = 10.0  # pixels of the picture: tops closer than this are one line

    def __post_init__(self) -> None:
        require("threshold", self.threshold, at_least=0, at_most=1)
        require("box_threshold", self.box_threshold, at_least=0, at_most=1)
        require("unclip_ratio", self.unclip_ratio, at_least=0, at_most=10)
        require("max_boxes", self.max_boxes, at_least=1, at_most=10_000)
        require("line_gap", self.line_gap, at_least=0)


def find_boxes(
    text_map: NDArray[np.float32], placement: Placement, options: BoxOptions
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the boxes around text, and how sure the map is of each.

    Shapes:  text_map (H, W) f32 -> boxes (n, 4, 2) f32, x and y in whole pixels of the picture, from the top left
             corner clockwise; scores (n,) f32; in no particular order.
    Differs from RapidOCR: outlines of holes in a component are no candidates of their own; of too many components
             the largest are kept, not the lowest on the page; corners are not cut to whole cells on the way.
    """
    runs = connected_runs(_thickened(text_map > options.threshold))
    scores_of = BoxScores(text_map)
    boxes: list[NDArray[np.float64]] = []
    scores: list[float] = []
    for points in _largest(runs, options.max_boxes):
        rectangle = smallest_rectangle(convex_hull(points))
        if rectangle.shorter < _MIN_SIDE:
            continue
        score = scores_of.mean(rectangle.corners())
        unclipped = rectangle.unclipped(options.unclip_ratio)
        if score < options.box_threshold or unclipped.shorter < _MIN_SIDE + 2:
            continue
        box = clockwise(placement.to_picture(unclipped.corners()))
        if int(np.hypot(*(box[0] - box[1]))) <= _MIN_PIXELS or int(np.hypot(*(box[0] - box[3]))) <= _MIN_PIXELS:
            continue
        boxes.append(box)
        scores.append(score)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4, 2), np.array(scores, dtype=np.float32)


def clockwise(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the four corners as top left, top right, bottom right, bottom left (y points down)."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    top_left, bottom_left = left[np.argsort(left[:, 1], kind="stable")]
    top_right, bottom_right = right[np.argsort(right[:, 1], kind="stable")]
    return np.stack([top_left, top_right, bottom_right, bottom_left])


def in_reading_order(boxes: NDArray[np.float32], line_gap: float) -> NDArray[np.intp]:
    """Return the order that reads boxes line by line, each from the left; a line is tops less than `line_gap` apart."""
    by_top = np.argsort(boxes[:, 0, 1], kind="stable")
    tops = boxes[by_top, 0, 1]
    line = np.cumsum(np.diff(tops, prepend=tops[:1]) >= line_gap)
    return by_top[np.lexsort((boxes[by_top, 0, 0], line))]


def _thickened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with each set cell spread to the right, down and both, which closes hairline gaps."""
    thick = mask.copy()
    thick[:, 1:] |= mask[:, :-1]
    thick[1:] |= thick[:-1].copy()
    return thick


def _largest(runs: Runs, count: int) -> Iterator[NDArray[np.intp]]:
    """Yield, per component, cells among which the corners of its hull are, (points, 2) x, y; largest components first.

    They are the outermost cells of each row, less those that do not stick out from the rows above and below: what is
    left is few, so that the hull, made in Python, costs little even for a map full of long components.
    """
    if not runs.count:
        return
    order = np.argsort(runs.component, kind="stable")  # within a component still top to bottom
    component, row = runs.component[order], runs.row[order]
    cells = np.bincount(runs.component, weights=runs.stop - runs.start, minlength=runs.count)
    heads = np.flatnonzero(np.diff(component, prepend=-1) | np.diff(row, prepend=-1))  # first run of each row
    left = np.minimum.reduceat(runs.start[order], heads)
    right = np.maximum.reduceat(runs.stop[order], heads) - 1
    of_row = component[heads]  # a component has no empty row between its first and its last
    inner = np.zeros(len(heads), dtype=np.bool_)
    inner[1:-1] = (of_row[:-2] == of_row[1:-1]) & (of_row[1:-1] == of_row[2:])
    sticks_out = np.ones((len(heads), 2), dtype=np.bool_)
    sticks_out[1:-1, 0] = 2 * left[1:-1] < left[:-2] + left[2:]
    sticks_out[1:-1, 1] = 2 * right[1:-1] > right[:-2] + right[2:]
    sticks_out |= ~inner[:, None]
    points = np.stack([left, row[heads], right, row[heads]], axis=1).reshape(-1, 2, 2)  # (rows, left or right, x or y)
    first = np.searchsorted(of_row, np.arange(runs.count + 1))
    for chosen in np.argsort(-cells, kind="stable")[:count]:
        rows = slice(first[chosen], first[chosen + 1])
        yield points[rows][sticks_out[rows]]
