"""The sample models as `hekla models pull` left them, for tests that need the real weights."""

import os
from pathlib import Path

import pytest

_WEIGHTS = {".onnx", ".gguf", ".safetensors"}
_REPOSITORY = Path(os.environ.get("HEKLA_SAMPLE_MODELS") or Path(__file__).parents[2] / "models")


def version_folder(model: str) -> Path:
    """Return the version folder of a sample model; the test is skipped where the samples were not pulled."""
    folder = _REPOSITORY / model / "1"
    if not any(path.suffix in _WEIGHTS for path in folder.glob("*")):
        pytest.skip(f"{folder} is not there: run `hekla models pull {model}`")
    return folder
