"""The whole chain on the real models, against what RapidOCR read in the same pictures (tools/make_ocr_goldens.py)."""

import io
import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hekla.protocols.stage import Values

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("*.json"))
BOX_TOLERANCE = 2.0  # pixels: RapidOCR cuts corners to whole cells of the map, which Hekla does not
SCORE_TOLERANCE = 0.02

Ocr = Any  # conftest.OcrChain; a conftest cannot be imported by name
Picture = Callable[[str], bytes]


def differences(found: Values, golden: dict[str, Any]) -> list[str]:  # Any: JSON
    """Return what RapidOCR answered otherwise."""
    texts = [text.decode() for text in found["text"]]
    if texts != golden["texts"]:
        return [f"texts: {texts} instead of {golden['texts']}"]
    wrong = []
    for text, box, score, golden_box, golden_score in zip(
        texts, found["boxes"], found["scores"], golden["boxes"], golden["scores"], strict=True
    ):
        if np.abs(box - golden_box).max() > BOX_TOLERANCE:
            wrong.append(f"{text}: box {box.tolist()} instead of {golden_box}")
        if abs(score - golden_score) > SCORE_TOLERANCE:
            wrong.append(f"{text}: score {score} instead of {golden_score}")
    return wrong


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=file.stem, marks=[] if file.stem == "receipt" else pytest.mark.slow) for file in GOLDENS],
)
def test_every_picture_is_read_as_rapidocr_reads_it(ocr: Ocr, picture: Picture, file: Path) -> None:
    golden = json.loads(file.read_text(encoding="utf-8"))
    assert differences(ocr(picture(golden["picture"])), golden) == []


def test_the_comparison_sees_another_letter_box_or_score() -> None:
    golden = json.loads((Path(__file__).parent / "goldens/receipt.json").read_text(encoding="utf-8"))
    same: dict[str, Any] = {  # Any: as Values has it
        "text": [text.encode() for text in golden["texts"]],
        "boxes": np.array(golden["boxes"], dtype=np.float32),
        "scores": np.array(golden["scores"], dtype=np.float32),
    }
    assert differences(same, golden) == []
    assert "Hekla" in differences({**same, "text": [b"Kaffi Hek1a", *same["text"][1:]]}, golden)[0]
    assert len(differences({**same, "boxes": same["boxes"] + 3}, golden)) == len(golden["texts"])
    assert len(differences({**same, "scores": same["scores"] - 0.1}, golden)) == len(golden["texts"])


@pytest.mark.slow
def test_a_line_reads_the_same_alone_and_in_a_batch(ocr: Ocr, picture: Picture) -> None:
    for name in ("examples/receipt.png", "examples/poster.jpg"):
        image = np.empty(1, dtype=np.object_)
        image[0] = picture(name)
        inputs = ocr.line_inputs(ocr.crops(image, ocr.detect(image)["boxes"]))
        alone = {x.tobytes(): ocr.read_batch(x)[0] for x in inputs}
        by_width = sorted(inputs, key=lambda x: x.shape[3])
        for _, batch in groupby(by_width, key=lambda x: x.shape[3]):
            rows: list[NDArray[np.float32]] = list(batch)
            for x, line in zip(rows, ocr.read_batch(np.concatenate(rows)), strict=True):
                assert line["text"][0] == alone[x.tobytes()]["text"][0]
                assert line["score"][0] == pytest.approx(alone[x.tobytes()]["score"][0], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [32, 320])
def test_more_grey_behind_a_line_changes_no_letter_of_it(ocr: Ocr, picture: Picture, columns: int) -> None:
    image = np.empty(1, dtype=np.object_)
    image[0] = picture("examples/receipt.png")
    for x in ocr.line_inputs(ocr.crops(image, ocr.detect(image)["boxes"])):
        wider = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, columns)))
        letters = [ocr.read_batch(line)[0]["text"][0].replace(b" ", b"") for line in (x, wider)]
        assert letters[0] == letters[1]


@pytest.mark.slow
def test_a_turned_photograph_reads_upright_by_its_exif_note(ocr: Ocr, picture: Picture) -> None:
    upright = Image.open(io.BytesIO(picture("tests/tasks/ocr/pictures/strip.png"))).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 8  # stored turned to the right: show it turned to the left
    buffer = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_270).save(buffer, "PNG", exif=exif)
    assert [text.decode() for text in ocr(buffer.getvalue())["text"]] == ["One low strip of words 0123456789"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (2000, 30)])
def test_a_picture_of_any_shape_is_answered(ocr: Ocr, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size, "white").save(buffer, "PNG")
    assert ocr(buffer.getvalue())["boxes"].shape == (0, 4, 2)
