"""BentoML: one service with a batchable endpoint per model, one worker. A batchable endpoint takes one array."""

import json
import os

import bentoml
import numpy as np
import onnxruntime

with open(os.environ["BENCHMARK_MODELS"]) as _file:
    MODELS = {model["name"]: model for model in json.load(_file)}


def max_batch(name: str) -> int:
    return MODELS[name]["max_batch"] if name in MODELS else 2  # the least it takes


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Models:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.sessions = {
            name: onnxruntime.InferenceSession(model["path"], options, providers=["CPUExecutionProvider"])
            for name, model in MODELS.items()
        }

    @bentoml.api(batchable=True, max_batch_size=max_batch("mlp"), max_latency_ms=1000)
    def mlp(self, x: np.ndarray) -> np.ndarray:
        return self.sessions["mlp"].run(None, {"x": x.astype(np.float32)})[0]

    @bentoml.api(batchable=True, max_batch_size=max_batch("minilm"), max_latency_ms=60000)
    def minilm(self, stacked: np.ndarray) -> np.ndarray:
        names = [port["name"] for port in MODELS["minilm"]["inputs"]]
        inputs = {name: stacked[:, index].astype(np.int64) for index, name in enumerate(names)}
        return self.sessions["minilm"].run(None, inputs)[0]
