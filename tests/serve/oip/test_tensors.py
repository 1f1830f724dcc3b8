"""Raw, typed and BYTES tensors to arrays and back."""

import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hekla.base.dtypes import DType
from hekla.base.errors import DtypeError, EngineError, InputError, ShapeError
from hekla.protocols.tensor import Array
from hekla.serve.oip.tensors import (
    CopyCount,
    check_shape,
    decode_raw,
    decode_values,
    dtype_named,
    encode_raw,
)

FIXED = [dtype for dtype in DType if dtype is not DType.BYTES]


def sample(dtype: DType, shape: tuple[int, ...]) -> Array:
    bits = np.random.default_rng(7).integers(0, 2, size=shape)
    return bits.astype(dtype.numpy)


@pytest.mark.parametrize("dtype", FIXED)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 0, 4), (1, 1, 1)])
def test_a_raw_tensor_comes_back_as_it_went(dtype: DType, shape: tuple[int, ...]) -> None:
    array = sample(dtype, shape)
    back = decode_raw("$.x", dtype, shape, bytes(encode_raw(array)))
    assert back.dtype == array.dtype
    assert back.shape == shape
    assert back.tobytes() == array.tobytes()


def test_an_aligned_tensor_is_a_read_only_view_of_the_buffer() -> None:
    copies = CopyCount()
    buffer = bytearray(64)
    array = decode_raw("$.x", DType.FP32, (4, 4), buffer, copies)
    assert copies.bytes == 0
    assert not array.flags.writeable
    buffer[0:4] = struct.pack("<f", 5.0)
    assert array[0, 0] == 5.0


def test_a_misaligned_tensor_is_copied_and_counted() -> None:
    copies = CopyCount()
    buffer = bytearray(65)
    for offset in range(1, 4):
        decode_raw("$.x", DType.FP32, (4, 3), memoryview(buffer)[offset : offset + 48], copies)
    assert copies.bytes == 3 * 48


def test_encoding_copies_only_what_is_not_contiguous() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.shares_memory(np.frombuffer(encode_raw(array), np.uint8), array)
    assert bytes(encode_raw(array.T)) == array.T.tobytes()
    assert bytes(encode_raw(array.astype(">f4"))) == array.tobytes()


@pytest.mark.parametrize(
    "shape", [(1, 4611686018427387904), (2**31, 2**31), (0, 2**62), (-1, 2), (1, -9), (True,), (1.0,), (1,) * 65]
)
def test_a_shape_that_no_memory_holds_is_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\$\.inputs\[3\]\.shape"):
        check_shape("$.inputs[3]", shape)


@pytest.mark.parametrize("size", [0, 47, 49])
def test_a_wrong_byte_count_says_both_counts(size: int) -> None:
    with pytest.raises(InputError, match=rf"\$\.x: expected 48 bytes for FP32 of shape \[3, 4\], got {size}"):
        decode_raw("$.x", DType.FP32, (3, 4), bytes(size))


def test_a_bool_byte_is_zero_or_one() -> None:
    assert decode_raw("$.x", DType.BOOL, (2,), b"\0\1").tolist() == [False, True]
    with pytest.raises(InputError, match="0 or 1"):
        decode_raw("$.x", DType.BOOL, (2,), b"\0\2")


def test_an_unknown_datatype_is_refused_with_the_known_ones() -> None:
    assert dtype_named("$.x", "BF16").numpy == np.dtype(ml_dtypes.bfloat16)
    with pytest.raises(DtypeError, match=r"\$\.x\.datatype: expected datatype one of BOOL, .*, got 'FP8'"):
        dtype_named("$.x", "FP8")


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_bytes_records_come_back_as_they_went(elements: list[bytes]) -> None:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    raw = encode_raw(array)
    assert bytes(raw) == b"".join(struct.pack("<I", len(element)) + element for element in elements)
    assert decode_raw("$.x", DType.BYTES, (len(elements),), raw).tolist() == elements


@given(st.binary(max_size=40), st.integers(0, 5))
def test_damaged_bytes_records_raise_an_input_error_and_nothing_else(raw: bytes, count: int) -> None:
    try:
        array = decode_raw("$.x", DType.BYTES, (count,), raw)
    except InputError:
        return
    assert bytes(encode_raw(array)) == raw


def test_a_bytes_record_that_runs_past_the_end_is_named_by_number() -> None:
    raw = struct.pack("<I2sI", 2, b"ab", 9) + b"xyz"
    with pytest.raises(InputError, match=r"\$\.x: BYTES record 1 runs past the end"):
        decode_raw("$.x", DType.BYTES, (2,), raw)
    with pytest.raises(InputError, match=r"\$\.x: BYTES record 1 runs past the end"):
        decode_raw("$.x", DType.BYTES, (2,), struct.pack("<I2sH", 2, b"ab", 9))


def test_str_and_fixed_width_elements_are_encoded_too() -> None:
    assert bytes(encode_raw(np.array(["é", ""]))) == b"\2\0\0\0\xc3\xa9\0\0\0\0"
    assert bytes(encode_raw(np.array([b"ab", b"c"]))) == b"\2\0\0\0ab\1\0\0\0c"
    with pytest.raises(EngineError, match="a float"):
        encode_raw(np.array([1.5], dtype=np.object_))


@pytest.mark.parametrize("dtype", FIXED)
def test_values_within_range_are_kept(dtype: DType) -> None:
    values = [True, False] if dtype is DType.BOOL else [1, 0]
    assert decode_values("$.x", dtype, (2, 1), [[values[0]], [values[1]]]).tolist() == [[values[0]], [values[1]]]
    assert decode_values("$.x", dtype, (0, 3), []).shape == (0, 3)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (DType.UINT8, [256]),
        (DType.UINT8, [-1]),
        (DType.INT8, [128]),
        (DType.UINT64, [-1]),
        (DType.UINT64, [2**64]),
        (DType.INT64, [2**63]),
        (DType.INT32, [1.5]),
        (DType.INT32, ["1"]),
        (DType.INT32, [None]),
        (DType.BOOL, [1]),
        (DType.FP32, [True]),
        (DType.FP32, ["1.5"]),
        (DType.FP32, [None]),
        (DType.FP32, [1e300]),
        (DType.FP16, [70000.0]),
        (DType.BYTES, [1]),
        (DType.BYTES, ["\ud800"]),
        (DType.FP32, [[1.0, 2.0], [3.0]]),
        (DType.FP32, [1.0, 2.0]),
    ],
)
def test_a_value_its_type_cannot_hold_is_refused(dtype: DType, values: list[object]) -> None:
    with pytest.raises(InputError, match=r"\$\.inputs\[0\]"):
        decode_values("$.inputs[0]", dtype, (1,), values)


def test_the_largest_values_are_kept_exactly() -> None:
    assert decode_values("$.x", DType.UINT64, (1,), [2**64 - 1])[0] == 2**64 - 1
    assert decode_values("$.x", DType.INT64, (2,), [2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]


def test_data_nested_without_end_are_refused() -> None:
    nested: list[object] = ["a"]
    for _ in range(500):
        nested = [nested]
    for dtype in (DType.BYTES, DType.FP32):
        with pytest.raises(InputError):
            decode_values("$.x", dtype, (1,), nested)
