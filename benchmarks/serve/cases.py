"""What is asked of every server: ONNX files, one row of input each, and the outputs ONNX Runtime gives for it.

| case | model | input | output |
|---|---|---|---|
| mlp | 64 -> 64 -> 10, made here from a seed: shows what a server itself costs | x (1, 64) f32 | y (1, 10) f32 |
| minilm | MiniLM-L6 without its tokeniser | input_ids, attention_mask (1, 32) i64 | as the file says |
| det | PP-OCR text detection without its image steps | x (1, 3, 320, 320) f32 | (1, 1, 320, 320) f32 |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Element types differ from input to input.
Array = NDArray[Any]

CASES = ("mlp", "minilm", "det")
_SEED = 7
# Rows per batch that servers are told to allow. Detection is compute alone: a batch only delays it.
_MAX_BATCH = {"mlp": 64, "minilm": 16, "det": 1}
# JSON of a 307200-number image measures nothing but number parsing.
_WITHOUT_JSON = frozenset({"det"})
_ONNX_TYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}
_NAMES = {"float32": "FP32", "int64": "INT64"}


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a model as its file states it; -1 is an extent the request chooses."""

    name: str
    datatype: str  # as the Open Inference Protocol names it
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One model with one request and its right answer."""

    name: str
    model: Path
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    input_ports: tuple[Port, ...]
    output_ports: tuple[Port, ...]
    max_batch: int
    has_json: bool

    def check(self, answer: Mapping[str, Array]) -> str:
        """Return what is wrong with an answer, "" if nothing is."""
        if len(self.outputs) == 1 and set(answer) == {""}:  # the server names no outputs
            answer = dict(zip(self.outputs, answer.values(), strict=True))
        for name, want in self.outputs.items():
            if name not in answer:
                return f"output {name!r} is missing; got {sorted(answer)}"
            got = answer[name].reshape(want.shape) if answer[name].size == want.size else answer[name]
            if got.shape != want.shape:
                return f"output {name!r} has shape {got.shape}, not {want.shape}"
            if not np.allclose(got, want, rtol=1e-3, atol=1e-4):
                return f"output {name!r} differs by up to {np.abs(got - want).max()}"
        return ""


def datatype(array: Array) -> str:
    """Return the protocol's name of an array's element type. Errors: KeyError for one that no case uses."""
    return _NAMES[array.dtype.name]


def make_mlp(path: Path) -> None:
    """Write the tiny model: y = relu(x W1 + b1) W2 + b2, weights from a fixed seed."""
    random = np.random.default_rng(_SEED)
    weights = {
        "w1": random.normal(0, 0.2, (64, 64)),
        "b1": random.normal(0, 0.2, 64),
        "w2": random.normal(0, 0.2, (64, 10)),
        "b2": random.normal(0, 0.2, 10),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["y"]),
        ],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def make_case(name: str, model: Path) -> Case:
    """Return the case of that name for an ONNX file, its expected outputs computed by ONNX Runtime here."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    inputs = _inputs(name, session)
    names = [output.name for output in session.get_outputs()]
    return Case(
        name=name,
        model=model,
        inputs=inputs,
        outputs=dict(zip(names, session.run(names, dict(inputs)), strict=True)),
        input_ports=tuple(_port(value) for value in session.get_inputs()),
        output_ports=tuple(_port(value) for value in session.get_outputs()),
        max_batch=_MAX_BATCH[name],
        has_json=name not in _WITHOUT_JSON,
    )


def _inputs(name: str, session: onnxruntime.InferenceSession) -> dict[str, Array]:
    random = np.random.default_rng(_SEED)
    if name == "mlp":
        return {"x": random.normal(0, 1, (1, 64)).astype(np.float32)}
    if name == "det":
        image = random.uniform(-1, 1, (1, 3, 320, 320)).astype(np.float32)
        return {session.get_inputs()[0].name: image}
    tokens = random.integers(1000, 30000, (1, 32))
    tokens[0, 0], tokens[0, -1] = 101, 102  # [CLS] and [SEP]
    known: dict[str, Array] = {
        "input_ids": tokens.astype(np.int64),
        "attention_mask": np.ones((1, 32), np.int64),
        "token_type_ids": np.zeros((1, 32), np.int64),
    }
    return {value.name: known[value.name] for value in session.get_inputs()}


def _port(value: Any) -> Port:  # Any: onnxruntime's NodeArg has no stub
    shape = tuple(extent if isinstance(extent, int) else -1 for extent in value.shape)
    return Port(value.name, _ONNX_TYPES[value.type], shape)
