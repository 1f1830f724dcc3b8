"""The sample graph `ocr` in a running server: its recipes, the batcher and the real models together."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tests.running_server import RunningServer

ROOT = Path(__file__).parents[3]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository of the OCR models as the recipes have them now."""
    for name in ("ocr", "ocr-detection", "ocr-recognition"):
        shutil.copytree(ROOT / "src/hekla/samples/recipes" / name, tmp_path / name)
        weights = ROOT / "models" / name / "1"
        if name != "ocr":
            if not weights.exists():
                pytest.fail(f"{weights.relative_to(ROOT)} is missing: run `make models`", pytrace=False)
            shutil.copytree(weights, tmp_path / name / "1")
    return tmp_path


def image_input(file: bytes) -> triton.InferInput:
    image = triton.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([file], dtype=np.object_))
    return image


@pytest.mark.slow
def test_the_server_reads_as_the_slow_chain_does(
    serve: Callable[..., RunningServer], repository: Path, picture: Callable[[str], bytes]
) -> None:
    client = triton.InferenceServerClient(serve(repository).http_address)
    for name in ("receipt", "poster", "tilted", "blank"):
        golden = json.loads((Path(__file__).parent / f"goldens/{name}.json").read_text(encoding="utf-8"))
        answer = client.infer("ocr", [image_input(picture(golden["picture"]))])
        assert [text.decode() for text in answer.as_numpy("text")] == golden["texts"]
        assert answer.as_numpy("boxes").shape == (len(golden["texts"]), 4, 2)
        assert answer.as_numpy("scores").shape == (len(golden["texts"]),)
    with pytest.raises(triton.InferenceServerException, match="image: not a known image format") as caught:
        client.infer("ocr", [image_input(b"hello")])
    assert caught.value.status() == "400"
    client.close()
