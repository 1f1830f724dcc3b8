"""Engines that raise, hang, answer nonsense or die: the request is told, the next one is served."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.faults import grpc_requests
from tests.faults.fault_models import Gate, request_document
from tests.faults.waiting import wait_for_metric, wait_until_model_is_ready
from tests.running_server import Reply, RunningServer


def _ask(server: RunningServer, model: str, *values: float, mode: str = "", **more: object) -> Reply:
    return server.post_json(f"/v2/models/{model}/infer", request_document(*values, mode=mode, **more))


def _ask_grpc(server: RunningServer, model: str, mode: str) -> object:
    raw = len(mode).to_bytes(4, "little") + mode.encode()
    tensors = [("VALUE", "FP32", [1, 1], bytes(4)), ("MODE", "BYTES", [1, 1], raw)]
    return grpc_requests.infer(server, grpc_requests.infer_message(model, tensors))


def _outputs(reply: Reply) -> dict[str, list[float]]:
    assert reply.status == 200, reply
    return {output["name"]: output["data"] for output in reply.json()["outputs"]}


@pytest.mark.parametrize("model", ["faulty", "isolated"])
@pytest.mark.parametrize(
    ("mode", "says"), [("raise", "asked to raise"), ("shape", "VALUE"), ("dtype", "FP64"), ("missing", "VALUE")]
)
def test_an_engine_that_fails_is_an_internal_error(server: RunningServer, model: str, mode: str, says: str) -> None:
    reply = _ask(server, model, 1.0, mode=mode)
    assert reply.status == 500, reply
    assert says in reply.error
    rpc = _ask_grpc(server, model, mode)
    assert grpc_requests.code_of(rpc) == "INTERNAL"
    assert _outputs(_ask(server, model, 2.0))["VALUE"] == [2.0]


def test_an_error_names_the_operators_line_and_no_path(server: RunningServer) -> None:
    error = _ask(server, "faulty", 1.0, mode="raise").error
    assert "model.py:" in error
    assert "/model.py" not in error, "the server's folders are nobody's business"
    assert "Traceback" not in error


def test_a_bad_request_in_a_batch_never_fails_its_neighbours(server: RunningServer, gate: Gate) -> None:
    values = [float(n) for n in range(1, 9)]
    with ThreadPoolExecutor(9) as pool:
        holder = pool.submit(_ask, server, "picky", 0.0, mode=gate.mode)
        gate.wait_until_engine_is_here()
        # The engine is held: these eight wait, and leave together when it is free.
        replies = [pool.submit(_ask, server, "picky", x, mode="raise" if x in (3.0, 6.0) else "") for x in values]
        wait_for_metric(server, "hekla_waiting_requests", len(values), model="picky")
        gate.open()
        assert holder.result().status == 200
    statuses = {x: reply.result().status for x, reply in zip(values, replies, strict=True)}
    assert statuses == {x: 500 if x in (3.0, 6.0) else 200 for x in values}
    for x, reply in zip(values, replies, strict=True):
        if statuses[x] == 200:
            assert _outputs(reply.result())["VALUE"] == [x]


def test_rows_of_a_batch_go_back_to_their_senders(server: RunningServer, gate: Gate) -> None:
    with ThreadPoolExecutor(9) as pool:
        holder = pool.submit(_ask, server, "picky", 0.0, mode=gate.mode)
        gate.wait_until_engine_is_here()
        replies = [pool.submit(_ask, server, "picky", float(n), float(-n)) for n in range(1, 5)]
        wait_for_metric(server, "hekla_waiting_requests", 4, model="picky")
        gate.open()
        assert holder.result().status == 200
        for n, reply in enumerate(replies, start=1):
            assert _outputs(reply.result())["VALUE"] == [float(n), float(-n)]


@pytest.mark.parametrize("model", ["hanging", "hanging_isolated"])
def test_an_engine_that_hangs_is_given_up_on(server: RunningServer, gate: Gate, model: str) -> None:
    reply = _ask(server, model, 1.0, mode=gate.mode)
    assert reply.status in (503, 504), reply
    assert "300" in reply.error, "the error names the limit that was passed"
    if model == "hanging":
        gate.open()  # a thread cannot be killed: let it end
    wait_until_model_is_ready(server, model)
    assert _outputs(_ask(server, model, 2.0))["VALUE"] == [2.0]


def test_a_worker_killed_in_a_call_is_replaced(server: RunningServer, gate: Gate) -> None:
    before = int(_outputs(_ask(server, "isolated", 1.0))["PID"][0])
    assert before != server.process.pid, "the engine is to run in a process of its own"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_ask, server, "isolated", 1.0, mode=gate.mode)
        gate.wait_until_engine_is_here()
        gate.vanish()
        os.kill(before, signal.SIGKILL)
        reply = running.result()
    if reply.status == 200:
        assert int(_outputs(reply)["PID"][0]) != before, "only another worker can have answered"
    else:
        assert reply.status == 503, reply
        assert "isolated" in reply.error
    _expect_another_worker(server, before)


def test_a_request_that_kills_every_worker_is_given_up_on(server: RunningServer) -> None:
    before = int(_outputs(_ask(server, "isolated", 1.0))["PID"][0])
    reply = _ask(server, "isolated", 1.0, mode="exit")
    assert reply.status == 503, reply
    assert "isolated" in reply.error
    _expect_another_worker(server, before)


def _expect_another_worker(server: RunningServer, before: int) -> None:
    wait_until_model_is_ready(server, "isolated")
    after = int(_outputs(_ask(server, "isolated", 2.0))["PID"][0])
    assert after not in (before, server.process.pid)


def test_a_worker_killed_while_idle_costs_no_request(server: RunningServer) -> None:
    pid = int(_outputs(_ask(server, "isolated", 1.0))["PID"][0])
    os.kill(pid, signal.SIGKILL)
    wait_until_model_is_ready(server, "isolated")
    answered = [_ask(server, "isolated", float(n)).status for n in range(5)]
    assert set(answered) <= {200, 503}
    assert answered[-1] == 200
