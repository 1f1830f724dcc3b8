"""A bare FastAPI handler for the Open Inference Protocol: what one writes by hand in an afternoon, no batching."""

import argparse
import json

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

NUMPY = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
NAMES = {"float32": "FP32", "int64": "INT64"}
LENGTH = "inference-header-content-length"


def open_session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def read_inputs(head: dict, raw: memoryview) -> dict:
    inputs = {}
    for tensor in head["inputs"]:
        dtype = NUMPY[tensor["datatype"]]
        if "data" in tensor:
            array = np.array(tensor["data"], dtype)
        else:
            size = tensor["parameters"]["binary_data_size"]
            array, raw = np.frombuffer(raw[:size], dtype), raw[size:]
        inputs[tensor["name"]] = array.reshape(tensor["shape"])
    return inputs


def make_app(models: list[dict]) -> FastAPI:
    app = FastAPI()
    sessions = {model["name"]: open_session(model["path"]) for model in models}
    outputs = {model["name"]: [port["name"] for port in model["outputs"]] for model in models}

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        return Response()

    @app.post("/v2/models/{name}/infer")
    async def infer(name: str, request: Request) -> Response:
        body = await request.body()
        length = int(request.headers.get(LENGTH, len(body)))
        inputs = read_inputs(orjson.loads(body[:length]), memoryview(body)[length:])
        arrays = sessions[name].run(outputs[name], inputs)
        tensors = [
            {"name": output, "datatype": NAMES[array.dtype.name], "shape": array.shape}
            for output, array in zip(outputs[name], arrays, strict=True)
        ]
        answer = {"model_name": name, "model_version": "1", "outputs": tensors}
        if LENGTH not in request.headers:
            for tensor, array in zip(tensors, arrays, strict=True):
                tensor["data"] = array.ravel()
            return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor["parameters"] = {"binary_data_size": array.nbytes}
        head = orjson.dumps(answer)
        return Response(
            head + b"".join(array.tobytes() for array in arrays),
            media_type="application/octet-stream",
            headers={LENGTH: str(len(head))},
        )

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", required=True)
    parser.add_argument("--http-port", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.models) as file:
        app = make_app(json.load(file))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=arguments.http_port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
