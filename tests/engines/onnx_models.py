"""Small ONNX models, each made to show one thing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hekla.protocols.engine import EngineSource
from hekla.protocols.tensor import TensorSpec

Shape = Sequence[int | str] | None  # None leaves the rank unsaid
# A value as (name, ONNX element type, shape).
Value = tuple[str, int, Shape]


def onnx_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: dict[str, np.ndarray[Any, Any]] | None = None,  # of any element type
    opset: int = 18,
) -> onnx.ModelProto:
    """Return a model with one graph."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def identity_model(onnx_type: int, shape: Shape = ("n", 2)) -> onnx.ModelProto:
    """x -> y, the same values."""
    return onnx_model(
        [helper.make_node("Identity", ["x"], ["y"])], [("x", onnx_type, shape)], [("y", onnx_type, shape)]
    )


def mlp_model() -> onnx.ModelProto:
    """x (n, 4) FP32 -> scores (n, 3) FP32 and best (n, 1) INT64."""
    weights = np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=1),
    ]
    outputs: list[Value] = [("scores", TensorProto.FLOAT, ["n", 3]), ("best", TensorProto.INT64, ["n", 1])]
    return onnx_model(nodes, [("x", TensorProto.FLOAT, ["n", 4])], outputs, {"w": weights})


def gather_model() -> onnx.ModelProto:
    """index (n) INT64 -> y (n) FP32, a row of a table of 3: an index of 3 and more fails in the run."""
    node = helper.make_node("Gather", ["table", "index"], ["y"], name="/lookup")
    table = np.array([1, 2, 3], np.float32)
    return onnx_model(
        [node], [("index", TensorProto.INT64, ["n"])], [("y", TensorProto.FLOAT, ["n"])], {"table": table}
    )


def loop_model() -> onnx.ModelProto:
    """times () INT64, x (2, 2) FP32 -> y (2, 2) FP32: tanh, that many times over. 10**12 times take days."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Tanh", ["v"], ["v_next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [2, 2]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_next", TensorProto.FLOAT, [2, 2]),
        ],
    )
    node = helper.make_node("Loop", ["times", "true", "x"], ["y"], body=body)
    inputs: list[Value] = [("times", TensorProto.INT64, []), ("x", TensorProto.FLOAT, [2, 2])]
    return onnx_model([node], inputs, [("y", TensorProto.FLOAT, [2, 2])], {"true": np.array(True)})


def source_of(
    folder: Path,
    model: onnx.ModelProto | bytes | None = None,
    options: Mapping[str, object] | None = None,
    *,
    inputs: tuple[TensorSpec, ...] = (),
    outputs: tuple[TensorSpec, ...] = (),
) -> EngineSource:
    """Write the model as version 1 below the folder and return the source of its engine."""
    version = folder / "1"
    version.mkdir(exist_ok=True)
    if model is not None:
        (version / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return EngineSource("m", 1, version, inputs, outputs, options or {}, where="m/model.toml")
