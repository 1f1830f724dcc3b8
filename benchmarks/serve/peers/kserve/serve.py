"""KServe's Python model server: REST with and without binary tensors, and gRPC; its SDK has no batcher of its own."""

import argparse
import json
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--models", required=True)
parser.add_argument("--http-port", type=int, required=True)
parser.add_argument("--grpc-port", type=int, required=True)
arguments = parser.parse_args()
sys.argv = sys.argv[:1]  # kserve reads the command line when it is imported

import kserve  # noqa: E402  # after the line above
import onnxruntime  # noqa: E402
from kserve import InferOutput, InferRequest, InferResponse  # noqa: E402

NAMES = {"float32": "FP32", "int64": "INT64"}


class OnnxModel(kserve.Model):
    def __init__(self, model: dict) -> None:
        super().__init__(model["name"])
        self.path = model["path"]
        self.names = [port["name"] for port in model["outputs"]]
        self.load()

    def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        self.ready = True
        return True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        arrays = self.session.run(self.names, {tensor.name: tensor.as_numpy() for tensor in payload.inputs})
        binary = payload.request_outputs is not None or payload.from_grpc
        outputs = []
        for name, array in zip(self.names, arrays, strict=True):
            output = InferOutput(name, list(array.shape), NAMES[array.dtype.name])
            output.set_data_from_numpy(array, binary_data=binary)
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs)


if __name__ == "__main__":
    with open(arguments.models) as file:
        models = [OnnxModel(model) for model in json.load(file)]
    server = kserve.ModelServer(
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        workers=1,
        enable_grpc=True,
        enable_latency_logging=False,
    )
    server.start(models)
