"""Blocks mean what gguf-py says they mean, bit for bit; and what is quantised comes back close."""

from pathlib import Path

import numpy as np
import pytest

from hekla.base.errors import ShapeError, UnsupportedError
from hekla.llm.awq import packed, unpacked
from hekla.llm.dequantise import DEQUANTISE, dequantised, dequantised_rows
from hekla.llm.quantise import QUANTISE, quantised
from hekla.llm.tensors import Quantisation, StoredTensor

VECTORS = np.load(Path(__file__).parent / "vectors" / "blocks.npz")
# Root of the mean square of the error over that of the values, for normal numbers: about 1 / (2 steps).
LARGEST_ERROR = {"F32": 0, "F16": 3e-4, "BF16": 2.5e-3, "Q4_0": 0.1, "Q4_1": 0.09, "Q5_0": 0.05, "Q5_1": 0.045}
LARGEST_ERROR |= {"Q8_0": 6e-3, "Q4_K": 0.085, "Q5_K": 0.042, "Q6_K": 0.022}
KINDS = sorted(DEQUANTISE, key=lambda kind: kind.name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_random_blocks_mean_what_the_reference_says(kind: Quantisation) -> None:
    with np.errstate(all="ignore"):  # random bytes hold scales that are no numbers
        values = DEQUANTISE[kind](VECTORS[f"{kind.name}_bytes"])
    np.testing.assert_array_equal(values, VECTORS[f"{kind.name}_values"])


def test_a_wrong_bit_would_be_seen() -> None:
    blocks = VECTORS["Q4_K_bytes"].copy()
    blocks[0, 8] ^= 0x40
    with np.errstate(all="ignore"):
        values = DEQUANTISE[Quantisation.Q4_K](blocks)
    assert not np.array_equal(values, VECTORS["Q4_K_values"], equal_nan=True)


@pytest.mark.parametrize("kind", [k for k in KINDS if f"{k.name}_quantised" in VECTORS], ids=lambda kind: kind.name)
def test_rows_are_quantised_as_the_reference_does(kind: Quantisation) -> None:
    np.testing.assert_array_equal(quantised(VECTORS["rows"], kind), VECTORS[f"{kind.name}_quantised"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_quantised_comes_back_close(kind: Quantisation) -> None:
    values = np.random.default_rng(1).standard_normal((8, 512)).astype(np.float32)
    tensor = StoredTensor("t", kind, (8, 512), quantised(values, kind))
    back = dequantised(tensor)
    error = np.sqrt(np.mean(np.square(back - values)) / np.mean(np.square(values)))
    assert error <= LARGEST_ERROR[kind.name]
    np.testing.assert_array_equal(dequantised_rows(tensor, 2, 5), back[2:5])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_rows_of_one_number_come_back(kind: Quantisation, value: float) -> None:
    values = np.full((2, 256), value, np.float32)
    back = dequantised(StoredTensor("t", kind, (2, 256), quantised(values, kind)))
    np.testing.assert_allclose(back, values, rtol=0.02)


def test_rows_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(ShapeError, match="rows of n x 256"):
        quantised(np.zeros((2, 128), np.float32), Quantisation.Q6_K)


def test_a_kind_that_is_not_written_is_named() -> None:
    with pytest.raises(UnsupportedError, match="AWQ4 is not written"):
        quantised(np.zeros((2, 128), np.float32), Quantisation.AWQ4)


def test_every_kind_that_is_read_is_written() -> None:
    assert QUANTISE.keys() == DEQUANTISE.keys()


def test_awq_packs_columns_in_its_own_order() -> None:
    codes = np.array([[0, 1, 2, 3, 4, 5, 6, 7]], np.uint8)
    assert packed(codes).tolist() == [[0x75316420]]  # low nibble first: columns 0 2 4 6 1 3 5 7
    random = np.random.default_rng(2).integers(0, 16, (6, 24), dtype=np.uint8)
    np.testing.assert_array_equal(unpacked(packed(random)), random)
