"""Connected components, against a flood fill."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hekla.tasks.ocr.components import Runs, connected_runs


def flood_filled(mask: NDArray[np.bool_], corners: bool = True) -> set[frozenset[tuple[int, int]]]:
    """Return the components as sets of pixels, each found by walking from neighbour to neighbour."""
    todo = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    found = set()
    while todo:
        component, border = set(), [todo.pop()]
        while border:
            y, x = border.pop()
            component.add((y, x))
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if (corners or not (dy and dx)) and (y + dy, x + dx) in todo:
                        todo.remove((y + dy, x + dx))
                        border.append((y + dy, x + dx))
        found.add(frozenset(component))
    return found


def as_sets(runs: Runs) -> set[frozenset[tuple[int, int]]]:
    components: list[set[tuple[int, int]]] = [set() for _ in range(runs.count)]
    for row, start, stop, component in zip(
        runs.row.tolist(), runs.start.tolist(), runs.stop.tolist(), runs.component.tolist(), strict=True
    ):
        components[component] |= {(row, column) for column in range(start, stop)}
    return {frozenset(component) for component in components}


@given(height=st.integers(1, 20), width=st.integers(1, 20), density=st.floats(0, 1), seed=st.integers(0, 999))
@settings(max_examples=120, deadline=None)
def test_components_are_those_of_a_flood_fill(height: int, width: int, density: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < density
    assert as_sets(connected_runs(mask)) == flood_filled(mask)


def test_the_comparison_sees_pixels_that_touch_only_at_a_corner() -> None:
    mask = np.eye(4, dtype=np.bool_)
    assert as_sets(connected_runs(mask)) == flood_filled(mask)
    assert as_sets(connected_runs(mask)) != flood_filled(mask, corners=False)


def spiral(size: int) -> NDArray[np.bool_]:
    """Return one line a pixel wide that winds inwards: the longest way a label has to travel."""
    mask = np.zeros((size, size), dtype=np.bool_)
    y, x, dy, dx = 0, -1, 0, 1
    for length in [size, *(side for side in range(size - 1, 0, -2) for _ in range(2))]:
        for _ in range(length):
            y, x = y + dy, x + dx
            mask[y, x] = True
        dy, dx = dx, -dy
    return mask


@pytest.mark.parametrize("turned", range(4))
def test_a_spiral_is_one_component(turned: int) -> None:
    mask = np.rot90(spiral(41), turned)
    assert 0.4 < mask.mean() < 0.6
    assert connected_runs(mask).count == 1


@pytest.mark.parametrize("filled", [False, True])
def test_a_uniform_mask_has_no_component_or_one(filled: bool) -> None:
    runs = connected_runs(np.full((5, 7), filled))
    assert runs.count == int(filled)
    assert runs.stop.tolist() == [7] * 5 * filled


def test_components_are_numbered_in_reading_order() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [1, 0, 1, 0]], dtype=np.bool_)
    assert connected_runs(mask).component.tolist() == [0, 1, 1, 2]
