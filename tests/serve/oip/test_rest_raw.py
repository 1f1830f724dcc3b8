"""A body that is its one tensor and nothing else."""

from typing import Any, cast

import numpy as np
import pytest

from hekla.base.errors import InputError, ShapeError
from hekla.protocols.tensor import Array
from hekla.serve.oip.rest_raw import decode_raw_request
from hekla.serve.service import Service


class Described:
    """As much of a service as says what a model takes."""

    def __init__(self, *inputs: tuple[str, str, list[int]]) -> None:
        self._inputs = [{"name": n, "datatype": d, "shape": s} for n, d, s in inputs]

    def model_metadata(self, model: str, version: str = "") -> dict[str, Any]:
        return {"inputs": self._inputs}


def decoded(body: bytes, *inputs: tuple[str, str, list[int]]) -> Array:
    request = decode_raw_request(cast("Service", Described(*inputs)), "m", "", memoryview(body))
    (array,) = request.inputs.values()
    return array


def test_bytes_are_one_element() -> None:
    array = decoded(b"\x89PNG", ("image", "BYTES", [1]))
    assert array.shape == (1,)
    assert array[0] == b"\x89PNG"


def test_an_open_number_of_texts_is_one() -> None:
    assert decoded(b"a", ("text", "BYTES", [-1])).tolist() == [b"a"]


@pytest.mark.parametrize(
    ("shape", "expected"), [([6], (6,)), ([2, 3], (2, 3)), ([-1, 3], (2, 3)), ([-1], (6,)), ([-1, -1, 2], (1, 3, 2))]
)
def test_the_length_decides_what_the_shape_leaves_open(shape: list[int], expected: tuple[int, ...]) -> None:
    numbers = np.arange(6, dtype=np.float32)
    array = decoded(numbers.tobytes(), ("x", "FP32", shape))
    assert array.shape == expected
    assert array.ravel().tolist() == numbers.tolist()


@pytest.mark.parametrize(
    ("size", "shape", "message"),
    [
        (20, [2, 3], "input 'x': expected 24 bytes for FP32 of shape [2, 3], got 20"),
        (20, [-1, 3], "input 'x': expected 12 bytes for FP32 of shape [1, 3], got 20"),
        (24, [-1, -1, -1], "input 'x': has shape [1, -1, -1]: more extents are open than the number of bytes decides;"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(size: int, shape: list[int], message: str) -> None:
    with pytest.raises((InputError, ShapeError)) as caught:
        decoded(bytes(size), ("x", "FP32", shape))
    assert str(caught.value).startswith(message)


def test_several_inputs_need_a_header() -> None:
    with pytest.raises(InputError) as caught:
        decoded(b"", ("a", "FP32", [1]), ("b", "FP32", [1]))
    assert str(caught.value) == (
        "header Inference-Header-Content-Length: model 'm' takes 2 inputs, so the body alone does not say which it is; "
        "send a JSON header, and its length here"
    )
