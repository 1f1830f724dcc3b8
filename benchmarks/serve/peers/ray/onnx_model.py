"""The model, in a module of its own so that Ray's workers import it: protobuf messages cannot be pickled by value."""

import numpy as np
import onnxruntime
import orjson
from ray import serve
from starlette.requests import Request
from starlette.responses import Response
from tritonclient.grpc import service_pb2

NUMPY = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
NAMES = {"float32": "FP32", "int64": "INT64"}
LENGTH = "inference-header-content-length"


class OnnxModel:
    def __init__(self, model: dict) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model["path"], options, providers=["CPUExecutionProvider"])
        self.names = [port["name"] for port in model["outputs"]]
        self.run.set_max_batch_size(model["max_batch"])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.0005)
    async def run(self, requests: list[dict]) -> list[list[np.ndarray]]:
        inputs = {name: np.concatenate([one[name] for one in requests]) for name in requests[0]}
        arrays = self.session.run(self.names, inputs)
        return [[array[row : row + 1] for array in arrays] for row in range(len(requests))]

    async def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            return Response()
        body = await request.body()
        length = int(request.headers.get(LENGTH, len(body)))
        raw, inputs = memoryview(body)[length:], {}
        for tensor in orjson.loads(body[:length])["inputs"]:
            dtype = NUMPY[tensor["datatype"]]
            if "data" in tensor:
                array = np.array(tensor["data"], dtype)
            else:
                size = tensor["parameters"]["binary_data_size"]
                array, raw = np.frombuffer(raw[:size], dtype), raw[size:]
            inputs[tensor["name"]] = array.reshape(tensor["shape"])
        tensors, contents = [], []
        for name, array in zip(self.names, await self.run(inputs), strict=True):
            tensor = {"name": name, "datatype": NAMES[array.dtype.name], "shape": array.shape}
            if LENGTH in request.headers:
                contents.append(array.tobytes())
                tensor["parameters"] = {"binary_data_size": array.nbytes}
            else:
                tensor["data"] = array.ravel().tolist()
            tensors.append(tensor)
        head = orjson.dumps({"model_name": "", "outputs": tensors})
        headers = {LENGTH: str(len(head))} if contents else {}
        return Response(head + b"".join(contents), media_type="application/octet-stream", headers=headers)

    async def ModelInfer(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferResponse:
        inputs = {
            tensor.name: np.frombuffer(raw, NUMPY[tensor.datatype]).reshape(tuple(tensor.shape))
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        for name, array in zip(self.names, await self.run(inputs), strict=True):
            response.outputs.add(name=name, datatype=NAMES[array.dtype.name], shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
        return response
