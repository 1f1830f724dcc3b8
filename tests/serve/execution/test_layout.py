"""Joining and splitting batches, against NumPy written out."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, InputError
from hekla.protocols.tensor import ANY, Tensors, TensorSpec
from hekla.serve.config import BatchingConfig, PadConfig
from hekla.serve.execution.layout import BatchLayout
from hekla.serve.execution.work import Work

X = TensorSpec("x", DType.FP32, (ANY, 2), 0)
SIDE = TensorSpec("side", DType.INT64, (3, ANY), 1)
MAYBE = TensorSpec("maybe", DType.FP32, (ANY, 1), 0, optional=True)
TOKENS = TensorSpec("tokens", DType.INT64, (ANY, ANY), 0)
Y = TensorSpec("y", DType.FP32, (ANY, 2), 0)
Z = TensorSpec("z", DType.FP32, (3, ANY), 1)


def _work(layout: BatchLayout, inputs: Tensors) -> Work:
    rows, key, lengths = layout.describe(inputs)
    return Work(inputs, (), rows, key, lengths, 1, 0.0, None, lambda work, told: None)


def _numbers(shape: tuple[int, ...], dtype: "np.dtype[Any]", seed: int) -> NDArray[Any]:  # Any: as the spec says
    return np.random.default_rng(seed).integers(1, 100, shape).astype(dtype)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 1000))
def test_rows_are_joined_along_their_axes_and_split_again(rows: list[int], seed: int) -> None:
    layout = BatchLayout((X, SIDE), (Y, Z), BatchingConfig(max_batch=16), "m")
    inputs = [
        {
            "x": _numbers((n, 2), X.dtype.numpy, seed + i),
            "side": _numbers((3, n), SIDE.dtype.numpy, seed + i),
        }
        for i, n in enumerate(rows)
    ]
    works = [_work(layout, one) for one in inputs]
    assert len({work.key for work in works}) == 1
    copied: Counter[str] = Counter()
    joined = layout.join(works, copied)
    np.testing.assert_array_equal(joined["x"], np.concatenate([one["x"] for one in inputs], 0))
    np.testing.assert_array_equal(joined["side"], np.concatenate([one["side"] for one in inputs], 1))
    assert copied["join"] == (0 if len(rows) == 1 else sum(array.nbytes for array in joined.values()))
    parts = layout.split({"y": joined["x"] * 2, "z": joined["side"] * 3.0}, works)
    for one, part in zip(inputs, parts, strict=True):
        np.testing.assert_array_equal(part["y"], one["x"] * 2)
        np.testing.assert_array_equal(part["z"], one["side"] * 3.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), min_size=1, max_size=5),
    st.sampled_from([1, 4]),
    st.integers(0, 1000),
)
def test_padding_fills_up_to_the_longest_and_a_multiple(
    shapes: list[tuple[int, int]], multiple: int, seed: int
) -> None:
    pad = (PadConfig("tokens", axis=1, value=7, multiple=multiple),)
    layout = BatchLayout((TOKENS,), (Y,), BatchingConfig(max_batch=32, pad=pad), "m")
    inputs = [{"tokens": _numbers(shape, TOKENS.dtype.numpy, seed + i)} for i, shape in enumerate(shapes)]
    works = [_work(layout, one) for one in inputs]
    joined = layout.join(works, Counter())["tokens"]
    longest = max(-(-length // multiple) * multiple for _, length in shapes)
    padded = [
        np.pad(one["tokens"], ((0, 0), (0, longest - one["tokens"].shape[1])), constant_values=7) for one in inputs
    ]
    np.testing.assert_array_equal(joined, np.concatenate(padded))


@settings(deadline=None)
@given(st.integers(1, 64), st.integers(1, 64))
def test_lengths_share_a_batch_only_where_padding_at_most_doubles_them(one: int, other: int) -> None:
    layout = BatchLayout((TOKENS,), (Y,), BatchingConfig(max_batch=8, pad=(PadConfig("tokens", 1),)), "m")
    keys = [layout.describe({"tokens": np.zeros((1, n), np.int64)})[1] for n in (one, other)]
    if keys[0] == keys[1]:
        assert max(one, other) < 2 * min(one, other)
    else:
        assert one.bit_length() != other.bit_length()


def test_who_leaves_an_optional_input_out_shares_no_batch_with_who_gives_it() -> None:
    layout = BatchLayout((X, MAYBE), (Y,), BatchingConfig(max_batch=8), "m")
    x, maybe = np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32)
    assert layout.describe({"x": x})[1] != layout.describe({"x": x, "maybe": maybe})[1]
    works = [_work(layout, {"x": x}), _work(layout, {"x": x})]
    assert list(layout.join(works, Counter())) == ["x"]


def test_one_request_alone_is_not_copied() -> None:
    layout = BatchLayout((X,), (Y,), BatchingConfig(max_batch=8), "m")
    work = _work(layout, {"x": np.zeros((2, 2), np.float32)})
    copied: Counter[str] = Counter()
    assert layout.join([work], copied)["x"] is work.inputs["x"]
    assert not copied


def test_inputs_that_disagree_about_their_rows_are_refused() -> None:
    layout = BatchLayout((X, MAYBE), (Y,), BatchingConfig(max_batch=8), "m")
    with pytest.raises(InputError, match="input 'maybe': has 3 rows, but input 'x' has 2"):
        layout.describe({"x": np.zeros((2, 2)), "maybe": np.zeros((3, 1))})
    with pytest.raises(InputError, match="has 9 rows, more than the largest batch of the model, 8"):
        layout.describe({"x": np.zeros((9, 2))})


@pytest.mark.parametrize(
    ("pad", "says"),
    [
        (PadConfig("token", 1), r"\[batching\].pad\[0\]: 'token' is no input; did you mean 'tokens'?"),
        (PadConfig("tokens", 0), "axis 0 of 'tokens'"),
        (PadConfig("tokens", 2), "axis 2 of 'tokens'"),
        (PadConfig("x", 1), "axis 1 of 'x'"),
        (PadConfig("words", 1), "'words' is BYTES, which cannot be padded"),
    ],
)
def test_padding_what_the_engine_does_not_have_is_refused_when_the_model_loads(pad: PadConfig, says: str) -> None:
    words = TensorSpec("words", DType.BYTES, (ANY, ANY), 0)
    with pytest.raises(ConfigError, match=says):
        BatchLayout((TOKENS, X, words), (Y,), BatchingConfig(max_batch=8, pad=(pad,)), "m")


def test_batching_tensors_without_a_batch_axis_is_the_operators_error() -> None:
    fixed = TensorSpec("fixed", DType.FP32, (3,))
    with pytest.raises(ConfigError, match=r"m: \[batching\].max_batch: 'fixed' have no batch axis"):
        BatchLayout((X, fixed), (Y,), BatchingConfig(max_batch=8), "m")
