"""Inference requests as protobuf messages, without a client library that would correct them."""

from typing import Any

import grpc
from tests.running_server import RunningServer
from tritonclient.grpc import service_pb2, service_pb2_grpc


def infer_message(
    model: str,
    tensors: list[tuple[str, str, list[int], bytes]],
    outputs: list[str] | None = None,
    version: str = "",
) -> Any:  # protobuf classes of an untyped package
    """Return a ModelInferRequest; tensors are (name, datatype, shape, raw bytes)."""
    message = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for name, datatype, shape, raw in tensors:
        message.inputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_input_contents.append(raw)
    for name in outputs or []:
        message.outputs.add(name=name)
    return message


def infer(server: RunningServer, message: Any, timeout_s: float = 30.0) -> Any:
    """Return the ModelInferResponse, or the RpcError."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        try:
            return service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=timeout_s)
        except grpc.RpcError as error:
            return error


def code_of(answer: Any) -> str:
    """Return the name of the answer's gRPC status code."""
    return str(answer.code().name) if isinstance(answer, grpc.RpcError) else "OK"
