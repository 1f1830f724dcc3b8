"""LitServe: one LitAPI per model, batching on, its shared-memory queue (`fast_queue`) as its guide advises."""

import argparse
import json

import litserve
import numpy as np
import onnxruntime

NUMPY = {"FP32": np.float32, "INT64": np.int64}


class Model(litserve.LitAPI):
    def __init__(self, model: dict) -> None:
        super().__init__(max_batch_size=model["max_batch"], batch_timeout=0.0005, api_path=f"/predict/{model['name']}")
        self.model = model

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.model["path"], options, providers=["CPUExecutionProvider"])
        self.names = [port["name"] for port in self.model["outputs"]]

    def decode_request(self, request: dict) -> dict:
        return {port["name"]: np.array(request[port["name"]], NUMPY[port["datatype"]]) for port in self.model["inputs"]}

    def batch(self, inputs: list[dict]) -> dict:
        return {name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}

    def predict(self, inputs: dict) -> dict:
        return dict(zip(self.names, self.session.run(self.names, inputs), strict=True))

    def unbatch(self, output: dict) -> list[dict]:
        rows = len(output[self.names[0]])
        return [{name: value[row : row + 1] for name, value in output.items()} for row in range(rows)]

    def encode_response(self, output: dict) -> dict:
        return {name: value.tolist() for name, value in output.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", required=True)
    parser.add_argument("--http-port", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.models) as file:
        apis = [Model(model) for model in json.load(file)]
    server = litserve.LitServer(apis, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1", port=arguments.http_port, num_api_servers=1, generate_client_file=False, log_level="warning"
    )
