"""The block of a node of the search graph: its own vector, then all that is known of its neighbours, side by side.

A hop reads one block and nothing else, so it costs one wait for memory. All is counted in 4-byte words; w is the padded
dimension (a multiple of 64), R = 32 the places for neighbours, b the bits of a code.

    offset           words        meaning
    0                1            neighbours in use, 0 to R
    1                1            f32: what the node adds to a squared distance (inner product: see `graph_encode`)
    2                1            of a root: 1 where its neighbours are roots; else 0
    3                13           reserved, 0
    16               w / 2        own vector, rotated and scaled: f16
    16 + w / 2       R            numbers of the neighbours; 2^32 - 1 where there is none
    ... + R          R            f32 constants of the estimate: A, infinity where there is none
    ... + 2 R        R            f32 factors of the estimate: F
    ... + 3 R        R b w / 32   codes: for each bit, for each 64 coordinates, for each neighbour a u64

The estimate of the squared distance from q to neighbour x of node c is |q - c|^2 + A - F <code, q>.
"""

from hekla.lang import index, kernel

HEADER, DEGREE = 16, 32
NOBODY = 0xFFFFFFFF
COUNT_AT, ADDED_AT, LEADS_TO_ROOTS_AT = 0, 1, 2


def padded_width(dimension: int) -> int:
    """Return w: the dimension, up to a multiple of 64."""
    return max(64, -(-dimension // 64) * 64)


def block_words(width: int, bits: int) -> int:
    """Return the words of a block: a multiple of 16, so that each begins a cache line."""
    return HEADER + width // 2 + 3 * DEGREE + DEGREE * bits * width // 32


@kernel(inline=True)
def neighbours_at(width: index) -> index:
    return HEADER + width // 2


@kernel(inline=True)
def constants_at(width: index) -> index:
    return HEADER + DEGREE + width // 2


@kernel(inline=True)
def factors_at(width: index) -> index:
    return HEADER + 2 * DEGREE + width // 2


@kernel(inline=True)
def codes_at(width: index) -> index:
    return HEADER + 3 * DEGREE + width // 2
