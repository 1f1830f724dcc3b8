"""More work than fits, too late to be worth doing, or for a client that has gone."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest
from tests.faults import grpc_requests
from tests.faults.fault_models import Gate, request_document
from tests.faults.raw_http import RawConnection, post
from tests.faults.waiting import wait_for_metric
from tests.running_server import Reply, RunningServer
from tritonclient.grpc import service_pb2_grpc

_TENSORS = [("VALUE", "FP32", [1, 1], bytes(4)), ("MODE", "BYTES", [1, 1], bytes(4))]


def _ask(server: RunningServer, model: str, value: float, mode: str = "", **more: object) -> Reply:
    return server.post_json(f"/v2/models/{model}/infer", request_document(value, mode=mode, **more))


def _fill(server: RunningServer, gate: Gate, pool: ThreadPoolExecutor) -> list[Future[Reply]]:
    """Hold the engine of `narrow` at the gate and fill its queue of two."""
    accepted = [pool.submit(_ask, server, "narrow", 0.0, gate.mode)]
    gate.wait_until_engine_is_here()
    accepted += [pool.submit(_ask, server, "narrow", 1.0), pool.submit(_ask, server, "narrow", 2.0)]
    wait_for_metric(server, "hekla_waiting_requests", 2, model="narrow")
    return accepted


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(server: RunningServer, gate: Gate) -> None:
    with ThreadPoolExecutor(3) as pool:
        accepted = _fill(server, gate, pool)
        try:
            refused = _ask(server, "narrow", 3.0)
            rpc = grpc_requests.infer(server, grpc_requests.infer_message("narrow", _TENSORS))
        finally:
            gate.open()
        assert refused.status == 429, refused
        assert int(refused.headers["retry-after"]) >= 1
        assert "queue is full" in refused.error
        assert grpc_requests.code_of(rpc) == "RESOURCE_EXHAUSTED"
        assert [reply.result().status for reply in accepted] == [200, 200, 200]


def test_health_and_metrics_answer_while_every_engine_is_busy(server: RunningServer, gate: Gate) -> None:
    with ThreadPoolExecutor(3) as pool:
        accepted = _fill(server, gate, pool)
        try:
            assert server.request("GET", "/v2/health/live").status == 200
            assert server.request("GET", "/metrics").status == 200
            assert _ask(server, "faulty", 1.0).status == 200, "one model's queue is not another's"
        finally:
            gate.open()
        assert {reply.result().status for reply in accepted} == {200}


def test_an_expired_request_is_answered_before_it_costs_compute(server: RunningServer, gate: Gate) -> None:
    executions = server.metric("hekla_executions_total", model="narrow")
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(_ask, server, "narrow", 0.0, gate.mode)
        gate.wait_until_engine_is_here()
        try:
            # 50 ms, and the engine is held for as long as it takes: only the deadline can answer.
            late = _ask(server, "narrow", 1.0, parameters={"timeout": 50_000})
            message = grpc_requests.infer_message("narrow", _TENSORS)
            message.parameters["timeout"].int64_param = 50_000
            rpc = grpc_requests.infer(server, message)
        finally:
            gate.open()
        assert late.status == 504, late
        assert grpc_requests.code_of(rpc) == "DEADLINE_EXCEEDED"
        assert holder.result().status == 200
    assert server.metric("hekla_executions_total", model="narrow") == executions + 1


def test_a_grpc_deadline_is_the_requests_deadline(server: RunningServer, gate: Gate) -> None:
    expired = server.metric("hekla_request_failures_total", model="narrow", reason="deadline")
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(_ask, server, "narrow", 0.0, gate.mode)
        gate.wait_until_engine_is_here()
        try:
            rpc = grpc_requests.infer(server, grpc_requests.infer_message("narrow", _TENSORS), timeout_s=0.05)
        finally:
            gate.open()
        assert grpc_requests.code_of(rpc) == "DEADLINE_EXCEEDED"
        assert holder.result().status == 200
    cancelled = server.metric("hekla_requests_cancelled_total", model="narrow")
    assert server.metric("hekla_request_failures_total", model="narrow", reason="deadline") > expired or cancelled > 0


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_work_of_a_client_that_went_away_is_dropped(server: RunningServer, gate: Gate, how: str) -> None:
    executions = server.metric("hekla_executions_total", model="narrow")
    cancelled = server.metric("hekla_requests_cancelled_total", model="narrow")
    body = str(request_document(1.0)).replace("'", '"').encode()
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(_ask, server, "narrow", 0.0, gate.mode)
        gate.wait_until_engine_is_here()
        try:
            connection = RawConnection(server.host_and_port)
            connection.send(post("/v2/models/narrow/infer", body))
            wait_for_metric(server, "hekla_waiting_requests", 1, model="narrow")
            if how == "reset":
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.socket.close()
            wait_for_metric(server, "hekla_requests_cancelled_total", cancelled + 1, model="narrow")
            assert server.metric("hekla_waiting_requests", model="narrow") == 0
        finally:
            gate.open()
        assert holder.result().status == 200
    assert server.metric("hekla_executions_total", model="narrow") == executions + 1


def test_the_work_of_a_grpc_client_that_cancelled_is_dropped(server: RunningServer, gate: Gate) -> None:
    executions = server.metric("hekla_executions_total", model="narrow")
    with ThreadPoolExecutor(1) as pool, grpc.insecure_channel(server.grpc_address) as channel:
        holder = pool.submit(_ask, server, "narrow", 0.0, gate.mode)
        gate.wait_until_engine_is_here()
        try:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            call = stub.ModelInfer.future(grpc_requests.infer_message("narrow", _TENSORS))
            wait_for_metric(server, "hekla_waiting_requests", 1, model="narrow")
            call.cancel()
            wait_for_metric(server, "hekla_waiting_requests", 0, model="narrow", exactly=True)
        finally:
            gate.open()
        assert holder.result().status == 200
    assert server.metric("hekla_executions_total", model="narrow") == executions + 1


def test_a_running_call_of_a_client_that_went_away_does_not_hold_the_model(server: RunningServer, gate: Gate) -> None:
    body = str(request_document(1.0, mode=gate.mode)).replace("'", '"').encode()
    with RawConnection(server.host_and_port) as connection:
        connection.send(post("/v2/models/narrow/infer", body))
        gate.wait_until_engine_is_here()
    gate.open()
    began = time.monotonic()
    assert _ask(server, "narrow", 2.0).status == 200
    assert time.monotonic() - began < 30
