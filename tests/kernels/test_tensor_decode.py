"""What the sweeps cannot reach: messages too large for the interpreter."""

import numpy as np
import pytest

from hekla.kernels.tensor_decode import LARGE, swap_32


@pytest.mark.parametrize("offset", [0, 5])
def test_a_message_too_large_for_the_caches_is_swapped_like_a_small_one(offset: int) -> None:
    source = np.random.default_rng(0).integers(0, 256, LARGE + 4 * 37 + 2, dtype=np.uint8)
    out = np.zeros(len(source) + offset, np.uint8)[offset:]
    swap_32(source, out)
    whole = len(source) // 4 * 4
    assert np.array_equal(out[:whole].copy().view("<u4"), source[:whole].view(">u4"))
    assert np.array_equal(out[whole:], source[whole:])
