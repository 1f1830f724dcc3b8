"""Labels are those that the magika package, 1.0.3, gave for the same bytes; its scores too."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from tests.samples.sample_repository import version_folder

from hekla.base.errors import ConfigError, ModelFileError, ShapeError
from hekla.protocols.stage import StageSource, Values
from hekla.tasks.file_type import features, label

# Any: texts, numbers and tables of them
RECORDED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "magika-1.0.3.json").read_text())
CONFIG = {
    "beg_size": 6,
    "mid_size": 0,
    "end_size": 4,
    "block_size": 8,
    "use_inputs_at_offsets": False,
    "padding_token": 256,
    "min_file_size_for_dl": 3,
    "medium_confidence_threshold": 0.5,
    "target_labels_space": ["c", "png", "randomtxt"],
    "thresholds": {"c": 0.75},
    "overwrite_map": {"randomtxt": "txt"},
}
KINDS = {
    "c": {"mime_type": "text/x-c", "description": "C source", "is_text": True},
    "png": {"mime_type": "image/png", "description": "PNG image", "is_text": False},
    "randomtxt": {"mime_type": None, "description": None, "is_text": True},
    "txt": {"mime_type": "text/plain", "description": "Generic text document", "is_text": True},
    "unknown": {"mime_type": None, "description": "Unknown binary data", "is_text": False},
    "empty": {"mime_type": "inode/x-empty", "description": "Empty file", "is_text": False},
}


def content(name: str) -> bytes:
    return zlib.decompress(base64.b64decode(RECORDED[name]["content"]))


def source(folder: Path, **options: object) -> StageSource:
    return StageSource("file-type", folder, options, "models/file-type/model.toml: [pipeline.postprocess]")


def write(folder: Path, config: object, kinds: object = KINDS) -> Path:
    (folder / "config.min.json").write_text(json.dumps(config))
    (folder / "content_types_kb.min.json").write_text(json.dumps(kinds))
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A version folder with rules small enough to see through: 6 + 4 tokens, blocks of 8 bytes, 3 labels."""
    return write(tmp_path, CONFIG)


def seen(folder: Path, file: bytes) -> Values:
    return features(source(folder)).run({"file": np.array([file], np.object_)}, {})


def judged(folder: Path, scores: list[float], decided: str | None = None, **options: object) -> str:
    values = {"target_label": np.array([scores], np.float32), "decided": decided}
    answer: bytes = label(source(folder, **options)).run(values, {})["label"][0]
    return answer.decode()


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_file_gets_the_label_magika_gave(name: str) -> None:
    folder, want = version_folder("file-type"), RECORDED[name]
    values = seen(folder, content(name))
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    scores = session.run(["target_label"], {"bytes": values["bytes"]})[0]
    for confidence, label_then in want["label"].items():
        answer = label(source(folder, confidence=confidence)).run({**values, "target_label": scores}, {})
        assert answer["label"].tolist() == [label_then.encode()]
        assert answer["score"][0] == pytest.approx(want["score"], abs=1e-4)
        if confidence == "high":
            assert answer["mime_type"].tolist() == [want["mime_type"].encode()]
            assert answer["description"].tolist() == [want["description"].encode()]


def test_the_recorded_files_tell_the_three_confidences_apart() -> None:
    modes = ("high", "medium", "best-guess")
    assert len({tuple(case["label"][mode] for case in RECORDED.values()) for mode in modes}) == 3


def slow_features(data: bytes) -> list[int]:
    """The two ends as the package describes them, byte by byte: the oracle."""
    beg, end = list(data[:8]), list(data[max(0, len(data) - 8) :])
    while beg and bytes([beg[0]]).isspace():
        beg.pop(0)
    while end and bytes([end[-1]]).isspace():
        end.pop()
    beg, end = beg[:6], end[-4:]
    return beg + [256] * (6 - len(beg)) + [256] * (4 - len(end)) + end


@pytest.mark.parametrize(
    "data", [b"", b"a", b" a ", b"abcdef", b"abcdefgh", b"abcdefghi", b" \n\x0b\x0cx", b"  ab  cd  ef  gh  ", bytes(20)]
)
def test_features_are_the_two_stripped_ends(small: Path, data: bytes) -> None:
    tokens: NDArray[np.int32] = seen(small, data)["bytes"]
    assert tokens.dtype == np.int32
    assert tokens.tolist() == [slow_features(data)]


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"", "empty"),
        (b"ab", "txt"),
        (b"\xff\xfe", "unknown"),
        (b"abc", None),
        (b" ab ", None),  # white space after it counts
        (b"  ab", "txt"),
        (b"        \xff\xff\xff\xff", "txt"),  # only the first block is looked at
        (b"       \xff\xff", "unknown"),
        (b"    abc", None),
    ],
)
def test_what_is_too_short_for_the_network_is_decided_without_it(small: Path, data: bytes, want: str | None) -> None:
    assert seen(small, data)["decided"] == want


@pytest.mark.parametrize(
    ("scores", "high", "medium", "guess"),
    [
        ([0.8, 0.1, 0.1], "c", "c", "c"),
        ([0.7, 0.2, 0.1], "txt", "c", "c"),  # c has a threshold of its own, 0.75
        ([0.0, 0.6, 0.1], "png", "png", "png"),
        ([0.3, 0.4, 0.3], "unknown", "unknown", "png"),
        ([0.0, 0.1, 0.9], "txt", "txt", "txt"),  # never answered by its own name
        ([0.4, 0.1, 0.2], "txt", "txt", "c"),
    ],
)
def test_a_score_must_reach_the_threshold(small: Path, scores: list[float], high: str, medium: str, guess: str) -> None:
    assert judged(small, scores) == high
    assert judged(small, scores, confidence="medium") == medium
    assert judged(small, scores, confidence="best-guess") == guess


def test_a_file_decided_without_the_network_is_certain(small: Path) -> None:
    values = {"target_label": np.array([[0.9, 0.3, 0.1]], np.float32), "decided": "unknown"}
    answer = label(source(small)).run(values, {})
    assert answer["score"].tolist() == [1.0]
    assert (answer["mime_type"][0], answer["description"][0]) == (b"application/octet-stream", b"Unknown binary data")


@pytest.mark.parametrize("shape", [(0,), (2,), (1, 1), ()])
def test_more_or_less_than_one_file_is_refused(small: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"file: expected shape \(1,\), got"):
        features(source(small)).run({"file": np.full(shape, b"a", np.object_)}, {})


def test_a_network_with_other_labels_is_refused(small: Path) -> None:
    with pytest.raises(ModelFileError, match=r"the graph gives scores \[1, 2\], config\.min\.json names 3 labels"):
        judged(small, [0.5, 0.5])


def test_a_wrong_confidence_is_refused_by_name(small: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[pipeline.postprocess\].confidence: got 'low'; write one of"):
        label(source(small, confidence="low"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "expected a table"),
        ({**CONFIG, "mid_size": 512}, "mid_size is not supported"),
        ({**CONFIG, "block_size": None}, "config"),
        ({"beg_size": 1}, "says no 'end_size'"),
    ],
)
def test_a_damaged_config_is_refused(tmp_path: Path, config: object, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        features(source(write(tmp_path, config)))


def test_a_label_that_nothing_describes_is_refused(tmp_path: Path) -> None:
    kinds = {name: kind for name, kind in KINDS.items() if name != "png"}
    with pytest.raises(ModelFileError, match=r"content_types_kb\.min\.json: does not describe 'png'"):
        label(source(write(tmp_path, CONFIG, kinds)))


def test_a_config_without_labels_is_refused(tmp_path: Path) -> None:
    config = {name: value for name, value in CONFIG.items() if name != "target_labels_space"}
    with pytest.raises(ModelFileError, match="says no 'target_labels_space'"):
        label(source(write(tmp_path, config)))
