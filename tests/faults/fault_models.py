"""Models that misbehave on request, and the gate that lets a test hold an engine in the middle of a call.

Every model made here takes VALUE FP32 [n, 1] and MODE BYTES [n, 1], and answers VALUE and PID INT64 [n, 1]. MODE says:

| MODE | what the engine does |
|---|---|
| (empty) | answers |
| gate:PATH | opens the named pipe PATH, if it is there, and waits until the test closes its end |
| raise | raises ValueError |
| shape, dtype, missing | answers one row too many, FP64 instead of FP32, no VALUE |
| exit | ends its process |
"""

import os
from pathlib import Path
from typing import Any

from onnx import helper
from tests.model_folders import Tensor, tensor_tables, write_onnx_model, write_python_model

INPUTS: list[Tensor] = [("VALUE", "FP32", ["n", 1]), ("MODE", "BYTES", ["n", 1])]
OUTPUTS: list[Tensor] = [("VALUE", "FP32", ["n", 1]), ("PID", "INT64", ["n", 1])]

CODE = """\
import os

import numpy as np


class Model:
    def load(self, source):
        pass

    def predict(self, inputs):
        value = inputs["VALUE"]
        answer = {"VALUE": value, "PID": np.full(value.shape, os.getpid(), np.int64)}
        for mode in inputs["MODE"].ravel():
            mode = mode.decode()
            if mode.startswith("gate:") and os.path.exists(mode.removeprefix("gate:")):
                with open(mode.removeprefix("gate:")) as gate:
                    gate.read()
            elif mode == "raise":
                raise ValueError("asked to raise")
            elif mode == "exit":
                os._exit(3)
            elif mode == "shape":
                answer["VALUE"] = np.zeros((len(value) + 1, 1), np.float32)
            elif mode == "dtype":
                answer["VALUE"] = value.astype(np.float64)
            elif mode == "missing":
                del answer["VALUE"]
        return answer
"""


def write_fault_model(repository: Path, name: str, toml: str = "", engine: str = "") -> Path:
    """Write one model; `engine` goes into [engine], `toml` after it."""
    tables = tensor_tables(INPUTS, OUTPUTS)
    return write_python_model(repository, name, CODE, f"{engine}\n{toml}\n{tables}")


def request_document(*values: float, mode: str = "", **more: Any) -> dict[str, Any]:  # any JSON a test wants
    """Return the JSON inference request with one row per value; the first row carries the mode."""
    modes = [mode, *[""] * (len(values) - 1)]
    rows = [len(values), 1]
    return {
        "inputs": [
            {"name": "VALUE", "datatype": "FP32", "shape": rows, "data": list(values)},
            {"name": "MODE", "datatype": "BYTES", "shape": rows, "data": modes},
        ],
        **more,
    }


def write_adder(repository: Path, name: str = "adder", toml: str = "[batching]\nmax_batch = 8\n") -> Path:
    """Write OUTPUT0 = INPUT0 + INPUT1 in INT32 [n, 16]."""
    return write_onnx_model(
        repository,
        name,
        [helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"])],
        [("INPUT0", "INT32", ["n", 16]), ("INPUT1", "INT32", ["n", 16])],
        [("OUTPUT0", "INT32", ["n", 16])],
        toml=toml,
    )


class Gate:
    """A named pipe at which an engine waits; both ends meet without a clock."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.path = folder / name
        os.mkfifo(self.path)
        self._end: int | None = None

    @property
    def mode(self) -> str:
        """The MODE that sends an engine here."""
        return f"gate:{self.path}"

    def wait_until_engine_is_here(self) -> None:
        """Wait until an engine has opened the pipe."""
        self._end = os.open(self.path, os.O_WRONLY)

    def vanish(self) -> None:
        """Let no other engine wait here: the one inside stays."""
        self.path.unlink()

    def open(self) -> None:
        """Let the engine go on."""
        if self._end is None:
            self._end = os.open(self.path, os.O_WRONLY)
        os.close(self._end)
        self._end = None
