"""Sums of several vectors at once: shuffles shared by four rows cost a third of four reductions.

Used inside the distance kernels; the order of the additions is the same on every machine.
"""

from hekla.lang import TypeParam, Vec, kernel, shuffle

E = TypeParam("E")
LOW, HIGH = tuple(range(8)), tuple(range(8, 16))
LOW_HALVES, HIGH_HALVES = LOW + tuple(16 + i for i in LOW), HIGH + tuple(16 + i for i in HIGH)
EVEN_QUARTERS = (*range(4), *range(8, 12), *range(16, 20), *range(24, 28))
ODD_QUARTERS = (*range(4, 8), *range(12, 16), *range(20, 24), *range(28, 32))
SWAPPED_PAIRS = tuple(i ^ 2 for i in range(16))
SWAPPED = tuple(i ^ 1 for i in range(16))


@kernel(inline=True)
def four_sums(a: Vec[E, 16], b: Vec[E, 16], c: Vec[E, 16], d: Vec[E, 16]) -> Vec[E, 4]:
    """Return the sums of the lanes of a, b, c and d."""
    ab = shuffle(a, b, indices=LOW_HALVES) + shuffle(a, b, indices=HIGH_HALVES)
    cd = shuffle(c, d, indices=LOW_HALVES) + shuffle(c, d, indices=HIGH_HALVES)
    quarters = shuffle(ab, cd, indices=EVEN_QUARTERS) + shuffle(ab, cd, indices=ODD_QUARTERS)
    pairs = quarters + shuffle(quarters, indices=SWAPPED_PAIRS)
    return shuffle(pairs + shuffle(pairs, indices=SWAPPED), indices=(0, 4, 8, 12))
