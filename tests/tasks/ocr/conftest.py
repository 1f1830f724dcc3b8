"""The real recogniser and detector, and the OCR chain written out slowly around them."""

import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from hekla.protocols.stage import Stage, StageSource, Values

ROOT = Path(__file__).parents[3]
RECIPES = ROOT / "src/hekla/samples/recipes"
MODELS = ROOT / "models"


def stage_of(model: str, table: dict[str, Any]) -> Stage:  # Any: TOML values
    """Make a stage from its table in a recipe, through its entry point."""
    (entry,) = entry_points(group="hekla.stages", name=table["stage"])
    made: Stage = entry.load()(
        StageSource(model, MODELS / model / "1", {k: v for k, v in table.items() if k != "stage"})
    )
    return made


class OcrChain:
    """What the server does with a picture, one thing after the other: the sample recipes' stages and two sessions."""

    def __init__(self) -> None:
        """Load both models. Fails the test, with what to do, if they are not there."""
        recipes = {
            name: tomllib.loads((RECIPES / name / "model.toml").read_text())
            for name in ("ocr", "ocr-detection", "ocr-recognition")
        }
        self._detect = self._session("ocr-detection")
        self._recognise = self._session("ocr-recognition")
        self._detect_stages = {
            name: stage_of("ocr-detection", table) for name, table in recipes["ocr-detection"]["pipeline"].items()
        }
        self._recognise_stages = {
            name: stage_of("ocr-recognition", table) for name, table in recipes["ocr-recognition"]["pipeline"].items()
        }
        self._graph = {
            step["name"]: stage_of("ocr", step["stage"]) for step in recipes["ocr"]["graph"]["steps"] if "stage" in step
        }

    def detect(self, image: NDArray[np.object_]) -> Values:
        """Return `boxes` and `box_scores`."""
        stages = self._detect_stages
        values = dict(stages["preprocess"].run(stages["load"].run({"image": image}, {}), {}))
        (values["fetch_name_0"],) = self._detect.run(None, {"x": values.pop("x")})
        return stages["postprocess"].run(values, {})

    def crops(self, image: NDArray[np.object_], boxes: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
        """Return the picture of each box."""
        crops: list[NDArray[np.uint8]] = self._graph["crop"].run({"image": image, "boxes": boxes}, {})["crops"]
        return crops

    def line_inputs(self, crops: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return the recogniser's input for each crop."""
        return [self._recognise_stages["preprocess"].run({"crop": crop}, {})["x"] for crop in crops]

    def read_batch(self, x: NDArray[np.float32]) -> list[Values]:
        """Return `text` and `score` of each row, which the recogniser gets at once."""
        (probabilities,) = self._recognise.run(None, {"x": x})
        post = self._recognise_stages["postprocess"]
        return [post.run({"fetch_name_0": probabilities[row : row + 1]}, {}) for row in range(len(x))]

    def __call__(self, picture: bytes) -> Values:
        """Return `text`, `scores` and `boxes` of a picture, each line read by itself."""
        image = np.empty(1, dtype=np.object_)
        image[0] = picture
        boxes = self.detect(image)["boxes"]
        lines = [self.read_batch(x)[0] for x in self.line_inputs(self.crops(image, boxes))]
        gathered = {name: [line[name] for line in lines] for name in ("text", "score")}
        return self._graph["join"].run({**gathered, "boxes": boxes}, {})

    def _session(self, model: str) -> ort.InferenceSession:
        path = MODELS / model / "1/model.onnx"
        if not path.exists():
            pytest.fail(f"{path.relative_to(ROOT)} is missing: run `make models`", pytrace=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        return ort.InferenceSession(path, options)


@pytest.fixture(scope="session")
def ocr() -> OcrChain:
    """The chain on the real models."""
    return OcrChain()


@pytest.fixture
def picture() -> Callable[[str], bytes]:
    """Read a picture by its path from the repository's root."""
    return lambda name: (ROOT / name).read_bytes()
