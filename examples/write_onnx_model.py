"""Write a small ONNX model, y = x W + b with 3 numbers in and 2 out: `python examples/write_onnx_model.py FILE`."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write(path: Path) -> None:
    """Write the model. Its first axis is free, so a server may join requests along it."""
    weight = np.array([[1, 0], [0, 1], [1, 1]], np.float32)  # (3, 2)
    bias = np.array([10, 20], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "weight", "bias"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
