"""Characters out of an ONNX file, against the `onnx` package, and out of damaged files."""

import random
from pathlib import Path

import onnx
import pytest

from hekla.base.errors import ModelFileError
from hekla.tasks.ocr.vocabulary import read_characters, read_metadata


def model(metadata: dict[str, str]) -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [onnx.helper.make_tensor_value_info("y", 1, [1])])
    made = onnx.helper.make_model(graph, producer_name="tests", model_version=2**40)
    onnx.helper.set_model_props(made, metadata)
    return made.SerializeToString()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def test_metadata_is_what_onnx_wrote(file: Path) -> None:
    metadata = {"character": "a\nß\n漢\n🛅", "empty": "", "long": "x" * 100_000}
    file.write_bytes(model(metadata))
    assert read_metadata(file) == metadata


def test_classes_are_the_blank_the_lines_and_the_space(file: Path) -> None:
    file.write_bytes(model({"character": "a\nß\n漢\n🛅"}))
    assert read_characters(file) == ("", "a", "ß", "漢", "🛅", " ")


def test_a_model_without_characters_is_refused(file: Path) -> None:
    file.write_bytes(model({"author": "x"}))
    with pytest.raises(ModelFileError, match=r"model\.onnx: the model does not list its characters; export"):
        read_characters(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.onnx: cannot be read: No such file or directory"):
        read_characters(file)


def test_another_kind_of_file_is_refused(file: Path) -> None:
    file.write_bytes(b"PK\x03\x04 this is a zip archive, not a model")
    with pytest.raises(ModelFileError, match=r"model\.onnx: not an ONNX file, or a damaged one"):
        read_characters(file)


def test_damage_raises_nothing_but_model_file_errors(file: Path) -> None:
    sound = model({"character": "a\nb\nc"})
    chance = random.Random(11)
    refused = 0
    for _ in range(200):
        damaged = bytearray(sound[: chance.randint(1, len(sound))])
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        file.write_bytes(damaged)
        try:
            read_characters(file)
        except ModelFileError:
            refused += 1
    assert refused > 50
