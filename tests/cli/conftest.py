"""A command line in this process, and a toy server for it to ask."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from tests.cli.toy_server import ToyModel, ToyServer, byte_strings, toy_server
from typer.testing import CliRunner, Result

from hekla.cli.main import app
from hekla.protocols.tensor import Array

Run = Callable[..., Result]
# Any: a request's parameters are JSON.
Parameters = Mapping[str, Any]


def read_text(inputs: Mapping[str, Array], parameters: Parameters) -> dict[str, Array]:
    """Answer two lines for any image, none for an empty one."""
    if not inputs["image"].reshape(-1)[0]:
        return {
            "text": byte_strings(),
            "scores": np.empty(0, np.float32),
            "boxes": np.empty((0, 4, 2), np.float32),
        }
    box = np.array([[1, 2], [31, 2], [31, 12], [1, 12]], np.float32)
    return {
        "text": byte_strings("Größe [1]".encode(), b"total"),
        "scores": np.array([0.99, 0.5], np.float32),
        "boxes": np.stack([box, box + 20]),
    }


def embed(inputs: Mapping[str, Array], parameters: Parameters) -> dict[str, Array]:
    """Answer a vector of length 2 per text: (2, 0, ...) for texts with a "cat", else (0, 2, ...)."""
    vectors = np.zeros((inputs["text"].size, 8), np.float32)
    for row, text in enumerate(inputs["text"].reshape(-1)):
        vectors[row, 0 if b"cat" in text else 1] = 2
    return {"embedding": vectors}


def name_type(inputs: Mapping[str, Array], parameters: Parameters) -> dict[str, Array]:
    """Answer the number of bytes as a label."""
    files = inputs["file"].reshape(-1)
    return {
        "label": byte_strings(*(f"size{len(content)}".encode() for content in files)),
        "score": np.full(len(files), 0.75, np.float32),
        "description": byte_strings(*(b"some bytes" for _ in files)),
        "mime_type": byte_strings(*(b"application/octet-stream" for _ in files)),
    }


def double(inputs: Mapping[str, Array], parameters: Parameters) -> dict[str, Array]:
    """Answer twice the input."""
    if (inputs["x"] < 0).any():
        raise ValueError("negative numbers are not taken")
    return {"y": inputs["x"] * 2}


def hear(inputs: Mapping[str, Array], parameters: Parameters) -> dict[str, Array]:
    """Answer 1 for a loud window. The flags must say where the sequence begins."""
    if "sequence_id" not in parameters:
        raise ValueError("no sequence")
    return {"speech": np.array([[float(np.abs(inputs["audio"]).max() > 0.1)]], np.float32)}


MODELS = {
    "ocr": ToyModel("ocr", [("image", "BYTES", [1])], read_text),
    "embed": ToyModel("embedding", [("text", "BYTES", [-1])], embed),
    "file-type": ToyModel("file-type", [("file", "BYTES", [-1])], name_type),
    "double": ToyModel("", [("x", "FP32", [-1, 3])], double),
    "vad": ToyModel("vad", [("audio", "FP32", [1, 512])], hear),
}


@pytest.fixture
def toy() -> Iterator[ToyServer]:
    """A running toy server with one model per task."""
    with toy_server(MODELS) as server:
        yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line as a wide terminal without colours would show it."""
    for name in ("HEKLA_URL", "HEKLA_REPOSITORY", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def invoke(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return invoke
