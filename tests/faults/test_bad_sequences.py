"""Sequences that never started, are too many, or were left alone."""

import time

from tests.faults import grpc_requests
from tests.running_server import Reply, RunningServer


def _step(server: RunningServer, model: str, sequence: int, *, start: bool = False, end: bool = False) -> Reply:
    document = {
        "inputs": [{"name": "INPUT", "datatype": "INT32", "shape": [1, 1], "data": [1]}],
        "parameters": {"sequence_id": sequence, "sequence_start": start, "sequence_end": end},
    }
    return server.post_json(f"/v2/models/{model}/infer", document)


def _grpc_step(server: RunningServer, model: str, sequence: int, *, start: bool) -> str:
    message = grpc_requests.infer_message(model, [("INPUT", "INT32", [1, 1], b"\1\0\0\0")])
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    return grpc_requests.code_of(grpc_requests.infer(server, message))


def _sum(reply: Reply) -> int:
    assert reply.status == 200, reply
    return int(reply.json()["outputs"][0]["data"][0])


def test_a_sequence_without_a_start_is_refused(server: RunningServer) -> None:
    reply = _step(server, "sums", 11)
    assert reply.status == 400, reply
    assert "start" in reply.error
    assert _grpc_step(server, "sums", 11, start=False) == "INVALID_ARGUMENT"


def test_one_sequence_too_many_is_refused_and_the_others_go_on(server: RunningServer) -> None:
    assert [_sum(_step(server, "sums", number, start=True)) for number in (21, 22)] == [1, 1]
    reply = _step(server, "sums", 23, start=True)
    assert reply.status == 429, reply
    assert "retry-after" in reply.headers
    assert _grpc_step(server, "sums", 24, start=True) == "RESOURCE_EXHAUSTED"
    assert [_sum(_step(server, "sums", number, end=True)) for number in (21, 22)] == [2, 2]
    assert _sum(_step(server, "sums", 23, start=True, end=True)) == 1


def test_an_idle_sequence_is_forgotten(server: RunningServer) -> None:
    assert _sum(_step(server, "forgetful", 31, start=True)) == 1
    stop = time.monotonic() + 0.5
    while time.monotonic() < stop:  # other work for longer than the sequence may idle
        assert _sum(_step(server, "forgetful", 32, start=True, end=True)) == 1
    reply = _step(server, "forgetful", 31)
    assert reply.status == 400, reply
