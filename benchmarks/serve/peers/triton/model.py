"""Triton's Python back end calling ONNX Runtime: whole batches in one call, as its guide for such models shows."""

import json
import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args: dict) -> None:
        config = json.loads(args["model_config"])
        self.inputs = [port["name"] for port in config["input"]]
        self.outputs = [port["name"] for port in config["output"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list) -> list:
        rows, parts = [], {name: [] for name in self.inputs}
        for request in requests:
            for name in self.inputs:
                parts[name].append(pb_utils.get_input_tensor_by_name(request, name).as_numpy())
            rows.append(len(parts[self.inputs[0]][-1]))
        arrays = self.session.run(self.outputs, {name: np.concatenate(values) for name, values in parts.items()})
        responses, start = [], 0
        for count in rows:
            tensors = [
                pb_utils.Tensor(name, array[start : start + count])
                for name, array in zip(self.outputs, arrays, strict=True)
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
            start += count
        return responses
