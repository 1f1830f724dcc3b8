"""The header reader places every tensor where the library finds it, and refuses damaged headers."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.serve.safetensors_file import stored_tensors
from hekla.base.errors import ModelFileError


def test_each_tensor_lies_where_the_header_reader_says(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    rng = np.random.default_rng(0)
    save_file(
        {"b": rng.random((3, 5), np.float32), "a": rng.random(7, np.float32), "none": np.zeros((0, 2), np.float32)},
        path,
        {"note": "a"},
    )
    content, theirs = path.read_bytes(), load_file(path)
    ours = stored_tensors(path)
    assert ours.keys() == theirs.keys()
    for name, place in ours.items():
        raw = content[place.offset : place.offset + place.nbytes]
        np.testing.assert_array_equal(np.frombuffer(raw, np.float32).reshape(place.shape), theirs[name])


def header(document: object, tail: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    return len(text).to_bytes(8, "little") + text + tail


FAULTS = [
    (b"", "header of 0 bytes in a file of 0"),
    (b"\xff" * 8, "header of 18446744073709551615 bytes in a file of 8"),
    (b"\x05" + bytes(7) + b"{", "header of 5 bytes in a file of 9"),
    (b"\x01" + bytes(7) + b"{", "not a safetensors header"),
    (header([1]), "not a safetensors header"),
    (header({"a": {"dtype": "F32", "shape": [1]}}), "not a safetensors header"),
    (header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(8)), "does not fill bytes 0 to 4"),
    (header({"a": {"dtype": "F99", "shape": [0], "data_offsets": [0, 0]}}), "does not fill bytes 0 to 0"),
    (header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}), "does not fill bytes 4 to 0"),
    (
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(7)),
        "ends beyond the end of the file",
    ),
]


@pytest.mark.parametrize(("content", "message"), FAULTS)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        stored_tensors(path)
