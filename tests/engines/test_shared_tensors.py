"""Tensors through shared memory and through a worker, for any datatype, shape, strides and byte order."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.engines.python_models import python_source

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError
from hekla.engines.process.engine import ProcessEngine
from hekla.engines.process.loader import load
from hekla.engines.process.shared import Reader, Writer, shared_file
from hekla.protocols.tensor import Array, TensorSpec

RANKS = range(4)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Any array of a datatype: empty or not, sliced, transposed, in either byte order."""
    dtype = draw(st.sampled_from(list(DType)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    size = int(np.prod(shape))
    array: Array
    if dtype is DType.BYTES:
        flat = np.empty(size, np.object_)
        flat[:] = draw(st.lists(st.binary(max_size=20), min_size=size, max_size=size))
        array = flat.reshape(shape)
    else:
        bits = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
        raw = np.frombuffer(bits, dtype.numpy) if dtype is not DType.BOOL else np.frombuffer(bits, np.uint8) > 127
        array = raw.reshape(shape)
        if draw(st.booleans()) and dtype is not DType.BF16:
            array = array.astype(array.dtype.newbyteorder(">"))
    if draw(st.booleans()):
        array = array.T
    if array.ndim and draw(st.booleans()):
        array = array[:: draw(st.sampled_from([-1, 2]))]
    return array


def same(expected: Array, found: Array) -> bool:
    """True if datatype, shape and every bit are the same."""
    dtype = DType.of(expected.dtype)
    if found.dtype != dtype.numpy or found.shape != expected.shape:
        return False
    if dtype is DType.BYTES:
        return bool(found.tolist() == expected.tolist())
    return found.tobytes() == expected.astype(dtype.numpy).tobytes()


@pytest.fixture(scope="module")
def memory() -> Iterator[tuple[Writer, Reader]]:
    descriptor = shared_file("test")
    writer, reader = Writer(descriptor), Reader(descriptor)
    yield writer, reader
    writer.close()
    reader.close()
    os.close(descriptor)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """An engine in a worker that answers its inputs, one of each datatype and rank."""
    specs = tuple(
        TensorSpec(f"{dtype.value}{rank}", dtype, (-1,) * rank, optional=True) for dtype in DType for rank in RANKS
    )
    body = "class Model:\n    def predict(self, inputs):\n        return dict(inputs)\n"
    source = python_source(
        tmp_path_factory.mktemp("echo"), body, inputs=specs, outputs=specs, options={"engine": "python"}
    )
    engine = load(source)
    yield engine
    engine.close()


@given(values=st.lists(arrays(), max_size=4))
def test_tensors_come_out_of_shared_memory_as_they_went_in(values: list[Array], memory: tuple[Writer, Reader]) -> None:
    writer, reader = memory
    tensors = {str(index): array for index, array in enumerate(values)}
    found = reader.copies(writer.write(tensors), writer.size)
    assert list(found) == list(tensors)
    assert all(same(array, found[name]) for name, array in tensors.items())
    views = reader.views(writer.write(tensors), writer.size)
    assert all(same(array, views[name]) for name, array in tensors.items())
    assert not any(view.flags.writeable for view in views.values() if view.size and view.dtype != object)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(arrays(), min_size=1, max_size=3))
def test_tensors_come_back_from_a_worker_as_they_went(values: list[Array], echo: ProcessEngine) -> None:
    tensors = {f"{DType.of(array.dtype).value}{array.ndim}": array for array in values}
    found = echo.run(tensors, list(tensors))
    assert all(same(array, found[name]) for name, array in tensors.items())


def test_the_oracle_of_these_tests_sees_a_changed_bit() -> None:
    array = np.array([np.nan, 0.0], np.float32)
    assert same(array, array.copy())
    assert not same(array, np.array([np.nan, -0.0], np.float32))
    assert not same(array, array.reshape(2, 1))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["x", "FP32", [4], 1 << 20, 16], "is outside the shared memory"),
        (["x", "FP32", [4], -16, 16], "is outside the shared memory"),
        (["x", "FP32", [-4], 0, 16], "is outside the shared memory"),
        (["x", "FP32", [5], 0, 16], r"a tensor of FP32 and shape \(5,\) in 16 bytes"),
        (["x", "FP32", [1 << 62, 4], 0, 0], "in 0 bytes of shared memory"),
        (["x", "BYTES", [3], 0, 16], "3 BYTES elements in 16 bytes"),
        (["x", "BYTES", [2], 0, 32], "BYTES elements end at"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(row: list[Any], message: str, memory: tuple[Writer, Reader]) -> None:
    writer, reader = memory
    writer.write({"x": np.full(8, 2**40, np.uint64)})
    with pytest.raises(EngineError, match=message):
        reader.views([row], writer.size)


def test_memory_that_was_only_announced_is_refused(memory: tuple[Writer, Reader]) -> None:
    with pytest.raises(EngineError, match="was announced and is not there"):
        memory[1].views([], 1 << 40)


def test_the_memory_cannot_be_shrunk_under_its_reader() -> None:
    descriptor = shared_file("test")
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_what_no_protocol_carries_is_refused(memory: tuple[Writer, Reader]) -> None:
    with pytest.raises(EngineError, match="z: a tensor of dtype complex128"):
        memory[0].write({"z": np.zeros(1, complex)})
    with pytest.raises(EngineError, match="z: a BYTES tensor with an element of type int"):
        memory[0].write({"z": np.array([1], object)})


def test_views_outlive_growth(memory: tuple[Writer, Reader], tmp_path: Path) -> None:
    descriptor = shared_file("test")
    writer, reader = Writer(descriptor), Reader(descriptor)
    early = reader.views(writer.write({"x": np.arange(4)}), writer.size)["x"]
    late = np.arange(1 << 15)
    assert (reader.views(writer.write({"x": late}), writer.size)["x"] == late).all()
    assert early.tolist() == [0, 1, 2, 3], "the pages are the same, the old map is still there"
    reader.close()
    writer.close()
    os.close(descriptor)
