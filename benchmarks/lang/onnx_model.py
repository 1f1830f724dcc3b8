"""One-operator models for ONNX Runtime, run without copies of their inputs and outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.lang.peers import peer
from benchmarks.lang.timing import Call

Tensor = np.ndarray[Any, np.dtype[Any]]  # Any: of any shape and type


def operator(name: str, inputs: Sequence[str], arrays: Mapping[str, Tensor], feed: Tensor, out: Tensor) -> Call | None:
    """Return a call of one operator from input `a` to `out`, the rest constants; None without ONNX Runtime and onnx."""
    runtime, onnx = peer("onnxruntime"), peer("onnx")
    if runtime is None or onnx is None:
        return None
    helper, to_tensor = onnx.helper, onnx.numpy_helper.from_array
    kind = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [helper.make_node(name, list(inputs), ["c"])],
        "one",
        [helper.make_tensor_value_info("a", kind(feed.dtype), feed.shape)],
        [helper.make_tensor_value_info("c", kind(out.dtype), out.shape)],
        [to_tensor(value, key) for key, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("a", runtime.OrtValue.ortvalue_from_numpy(feed))
    binding.bind_ortvalue_output("c", runtime.OrtValue.ortvalue_from_numpy(out))
    return lambda: session.run_with_iobinding(binding)
