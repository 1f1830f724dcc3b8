"""Requests of every form one after another on one connection: nothing of one is remembered in the next one's answer."""

import json
import random
from typing import Any

import grpc
import numpy as np
import pytest
from tests.faults.raw_http import RawConnection, post
from tests.running_server import RunningServer
from tritonclient.grpc import service_pb2, service_pb2_grpc

from hekla.protocols.tensor import Array

_KINDS = {"INT32": np.int32, "FP32": np.float32, "UINT8": np.uint8, "FP64": np.float64}


def _array(chance: random.Random, kind: str) -> Array:
    shape = (chance.choice([1, 1, 1, 2, 7]), chance.choice([1, 3, 3, 3, 8, 0]))
    numbers = [chance.randrange(200) for _ in range(shape[0] * shape[1])]
    return np.array(numbers, _KINDS[kind]).reshape(shape)


@pytest.mark.parametrize("seed", range(4))
def test_every_rest_answer_is_to_its_own_request(server: RunningServer, seed: int) -> None:
    chance = random.Random(seed)
    with RawConnection(server.host_and_port) as connection:
        for turn in range(250):
            kind = chance.choice(list(_KINDS))
            sent = _array(chance, kind)
            raw = sent.tobytes() if chance.random() < 0.5 else b""
            asks_binary = chance.random() < 0.5
            request_id = chance.choice(["", "a", f"id-{turn}"])
            connection.send(_rest_request(kind, sent, raw, asks_binary, request_id))
            reply = connection.read()
            told = f"turn {turn} of seed {seed}: {reply}"
            assert reply.status == 200, told
            length = int(reply.headers.get("inference-header-content-length", len(reply.body)))
            document = json.loads(reply.body[:length])
            output = document["outputs"][0]
            assert document.get("id", "") == request_id, told
            assert (output["datatype"], tuple(output["shape"])) == (kind, sent.shape), told
            got = np.frombuffer(reply.body[length:], _KINDS[kind]) if asks_binary else np.array(output["data"]).ravel()
            assert got.tolist() == sent.ravel().tolist(), told


def _rest_request(kind: str, sent: Array, raw: bytes, asks_binary: bool, request_id: str) -> bytes:
    tensor: dict[str, Any] = {"name": "INPUT0", "datatype": kind, "shape": list(sent.shape)}
    document: dict[str, Any] = {"inputs": [tensor]}  # any JSON
    if raw:
        tensor["parameters"] = {"binary_data_size": len(raw)}
    else:
        tensor["data"] = sent.ravel().tolist()
    if request_id:
        document["id"] = request_id
    if asks_binary:
        document["outputs"] = [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]
    body = json.dumps(document).encode()
    headers = [f"Inference-Header-Content-Length: {len(body)}"] if raw else []
    return post(f"/v2/models/identity_{kind.lower()}/infer", body + raw, *headers)


@pytest.mark.parametrize("seed", range(4))
def test_every_grpc_answer_is_to_its_own_request(server: RunningServer, seed: int) -> None:
    chance = random.Random(seed)
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for turn in range(150):
            kind = chance.choice(list(_KINDS))
            sent = _array(chance, kind)
            message = service_pb2.ModelInferRequest(
                model_name=f"identity_{kind.lower()}", id=chance.choice(["", "a", f"id-{turn}"])
            )
            message.inputs.add(name="INPUT0", datatype=kind, shape=sent.shape)
            message.raw_input_contents.append(sent.tobytes())
            if chance.random() < 0.5:
                message.outputs.add(name="OUTPUT0")
            response = stub.ModelInfer(message, timeout=30)
            told = f"turn {turn} of seed {seed}: {response}"
            output = response.outputs[0]
            assert response.id == message.id, told
            assert (output.datatype, tuple(output.shape)) == (kind, sent.shape), told
            assert response.raw_output_contents[0] == sent.tobytes(), told
