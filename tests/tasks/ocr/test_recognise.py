"""The stages around the recogniser, without its weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from hekla.base.errors import ConfigError, EngineError, ModelFileError, ShapeError
from hekla.protocols.stage import Stage, StageSource
from hekla.tasks.ocr.recognise import LineOptions, line_input, load_recognise_postprocess, load_recognise_preprocess

WHERE = "model.toml: [pipeline.postprocess]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a version folder whose model has the characters a and ß."""
    model = onnx.ModelProto()
    onnx.helper.set_model_props(model, {"character": "a\nß"})
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    return tmp_path


def postprocess(folder: Path, **options: object) -> Stage:
    return load_recognise_postprocess(StageSource("m", folder, options, WHERE))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (48, 100, 320),
        (48, 320, 320),
        (48, 321, 480),
        (24, 200, 480),
        (20, 161, 480),  # 387 columns
        (10, 9000, 3200),  # squeezed
        (500, 1, 320),
    ],
)
def test_a_line_has_one_of_few_widths(height: int, width: int, expected: int) -> None:
    x = line_input(np.full((height, width, 3), 255, dtype=np.uint8), LineOptions())
    assert x.shape == (1, 3, 48, expected)
    content = min(-(-48 * width // height), 3200)
    assert np.allclose(x[..., :content], 1, rtol=0, atol=1e-6)
    assert not x[..., content:].any()


def test_the_stage_replaces_the_crop_by_x() -> None:
    stage = load_recognise_preprocess(StageSource("m", Path(), {"min_width": 64, "width_step": 32}, WHERE))
    values = stage.run({"crop": np.zeros((48, 70, 3), dtype=np.uint8), "carried": 1}, {})
    assert values.keys() == {"x", "carried"}
    assert values["x"].shape == (1, 3, 48, 96)


@pytest.mark.parametrize("shape", [(48, 70), (48, 70, 4), (0, 70, 3), (1, 16_385, 3)])
def test_a_crop_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    stage = load_recognise_preprocess(StageSource("m", Path(), {}, WHERE))
    with pytest.raises(ShapeError, match=r"^crop: expected shape \[height, width, 3\], sides 1 to 16384, got"):
        stage.run({"crop": np.zeros(shape, dtype=np.uint8)}, {})


def test_the_text_is_utf_8_and_has_a_score(folder: Path) -> None:
    path = np.eye(4, dtype=np.float32)[[0, 1, 1, 0, 2, 3, 0]] * 0.8
    values = postprocess(folder).run({"fetch_name_0": path[None], "carried": 1}, {})
    assert values.keys() == {"text", "score", "carried"}
    assert values["text"].tolist() == ["aß ".encode()]
    assert values["text"].dtype == np.object_
    assert values["score"].tolist() == pytest.approx([0.8])
    assert values["score"].dtype == np.float32


def test_the_output_can_have_another_name(folder: Path) -> None:
    values = postprocess(folder, output="softmax").run({"softmax": np.zeros((1, 3, 4), dtype=np.float32)}, {})
    assert values["text"].tolist() == [b""]


def test_a_model_with_other_classes_than_its_metadata_lists_is_a_fault(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"^fetch_name_0: expected shape \[1, steps, 4\], got \[1, 3, 9\]; the model"):
        postprocess(folder).run({"fetch_name_0": np.zeros((1, 3, 9), dtype=np.float32)}, {})


def test_a_missing_model_file_is_named_at_load(folder: Path) -> None:
    with pytest.raises(ModelFileError, match=r"other\.onnx: cannot be read"):
        postprocess(folder, file="other.onnx")


@pytest.mark.parametrize("file", ["../model.onnx", "/etc/passwd", "..", ""])
def test_a_file_outside_the_folder_is_refused(folder: Path, file: str) -> None:
    with pytest.raises(ConfigError, match=r"\]\.file: expected the name of a file in the version's folder"):
        postprocess(folder, file=file)
