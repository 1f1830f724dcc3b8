"""Good requests with bytes changed, cut and doubled: never a 500, never a traceback, never a wrong neighbour."""

import json
import random
import struct

import grpc
import numpy as np
import pytest
from tests.faults import grpc_requests
from tests.faults.raw_http import RawConnection, post
from tests.running_server import RunningServer

_ROUNDS = 1500
_TENSOR = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}
_JSON = json.dumps({"id": "a", "parameters": {"timeout": 9_000_000, "priority": 1}, "inputs": [_TENSOR]}).encode()
_PATH = "/v2/models/identity_fp32/infer"


def _binary() -> bytes:
    tensor = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    outputs = [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    return post(_PATH, head + np.ones(3, np.float32).tobytes(), f"Inference-Header-Content-Length: {len(head)}")


def _mutated(chance: random.Random, message: bytes) -> bytes:
    """Return the message with one to four places changed."""
    changed = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place : place + chance.randint(1, 8)]
            case 2:
                changed[place:place] = chance.choice([b"9" * 30, b"-", b"[", b"null", b"\0", b"\r\n", b'"', b"{"])
            case 3:
                changed[place:place] = changed[place : place + chance.randint(1, 16)]
            case _:
                changed[place] ^= 1 << chance.randrange(8)
        if not changed:
            changed += b"x"
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["json", "binary", "embeddings"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changed_http_requests_never_reach_an_internal_fault(server: RunningServer, kind: str, seed: int) -> None:
    chance = random.Random(seed)
    original = {
        "json": post(_PATH, _JSON),
        "binary": _binary(),
        "embeddings": post("/v1/embeddings", b'{"model": "adder", "input": ["a"], "encoding_format": "base64"}'),
    }[kind]
    for turn in range(_ROUNDS):
        message = _mutated(chance, original)
        with RawConnection(server.host_and_port) as connection:
            connection.send(message).end_sending()
            if connection.is_closed_by_server():
                continue
            reply = connection.read()
        assert reply.status < 500 or reply.status in (501, 503, 504), (
            f"turn {turn} of seed {seed}: {message!r}: {reply}"
        )
    assert "Traceback" not in server.log_text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changed_bodies_of_right_length_never_reach_an_internal_fault(server: RunningServer, seed: int) -> None:
    chance = random.Random(seed)
    with RawConnection(server.host_and_port) as connection:
        for turn in range(_ROUNDS):
            body = _mutated(chance, _JSON)
            reply = connection.send(post(_PATH, body)).read()
            told = f"turn {turn} of seed {seed}: {body!r}: {reply}"
            assert reply.status in (200, 400, 501, 504), told
            if reply.status == 200:
                # Good again, or good after all: then the answer is to this request, not to one before it.
                asked, answered = json.loads(body), reply.json()
                assert answered.get("id") == asked.get("id") or not asked.get("id"), told
                sent = np.array(asked["inputs"][0]["data"], np.float32)
                got = np.array(answered["outputs"][0]["data"], np.float32)
                assert got.tolist() == sent.ravel().tolist(), told
                assert answered["outputs"][0]["shape"] == asked["inputs"][0]["shape"], told
    assert "Traceback" not in server.log_text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changed_grpc_messages_never_reach_an_internal_fault(server: RunningServer, seed: int) -> None:
    chance = random.Random(seed)
    records = struct.pack("<I", 3) + b"abc"
    message = grpc_requests.infer_message("identity_bytes", [("INPUT0", "BYTES", [1, 1], records)], ["OUTPUT0"])
    message.parameters["priority"].int64_param = 1
    original = message.SerializeToString()
    allowed = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for turn in range(_ROUNDS):
            changed = _mutated(chance, original)
            code = call.future(changed, timeout=30).code().name
            assert code in allowed, f"turn {turn} of seed {seed}: {changed!r}: {code}"
    assert "Traceback" not in server.log_text()
