"""SIGTERM: what was accepted is answered, nothing new is taken, the exit status is 0."""

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import Serve
from tests.faults import grpc_requests
from tests.faults.fault_models import Gate, request_document, write_adder, write_fault_model
from tests.faults.raw_http import RawConnection, get, post
from tests.faults.waiting import wait_for_metric
from tests.running_server import Reply, RunningServer

_ONES = {"datatype": "INT32", "shape": [1, 16], "data": [1] * 16}
_SUM = {"inputs": [{"name": "INPUT0", **_ONES}, {"name": "INPUT1", **_ONES}]}
_REQUEST = post("/v2/models/adder/infer", json.dumps(_SUM).encode())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write_adder(folder)
    write_fault_model(folder, "faulty")
    write_fault_model(folder, "isolated", engine='isolation = "process"')
    return folder


@pytest.mark.parametrize("model", ["faulty", "isolated"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_accepted_before_the_signal_are_answered(
    serve: Serve, models: Path, tmp_path: Path, model: str, number: signal.Signals
) -> None:
    server = serve(models, "--python-models", str(models))
    gate = Gate(tmp_path)

    def ask(value: float, mode: str = "") -> Reply:
        return server.post_json(f"/v2/models/{model}/infer", request_document(value, mode=mode))

    with ThreadPoolExecutor(4) as pool, RawConnection(server.host_and_port) as idle:
        assert idle.send(get("/v2/health/ready")).read().status == 200
        accepted = [pool.submit(ask, 0.0, gate.mode)]
        gate.wait_until_engine_is_here()
        accepted += [pool.submit(ask, float(n)) for n in (1, 2, 3)]
        wait_for_metric(server, "hekla_waiting_requests", 3, model=model)
        server.process.send_signal(number)
        assert idle.is_closed_by_server(), "an idle connection is closed: the server drains"
        gate.open()
        answers = [reply.result() for reply in accepted]
    assert [answer.status for answer in answers] == [200] * 4
    assert [answer.json()["outputs"][0]["data"] for answer in answers] == [[0.0], [1.0], [2.0], [3.0]]
    assert server.wait() == 0


def test_grpc_calls_accepted_before_the_signal_are_answered(serve: Serve, models: Path, tmp_path: Path) -> None:
    server = serve(models, "--python-models", str(models))
    gate = Gate(tmp_path)

    def ask(mode: str = "") -> str:
        raw = len(mode).to_bytes(4, "little") + mode.encode()
        tensors = [("VALUE", "FP32", [1, 1], bytes(4)), ("MODE", "BYTES", [1, 1], raw)]
        return grpc_requests.code_of(grpc_requests.infer(server, grpc_requests.infer_message("faulty", tensors)))

    with ThreadPoolExecutor(4) as pool, RawConnection(server.host_and_port) as idle:
        assert idle.send(get("/v2/health/ready")).read().status == 200
        accepted = [pool.submit(ask, gate.mode)]
        gate.wait_until_engine_is_here()
        accepted += [pool.submit(ask) for _ in range(3)]
        wait_for_metric(server, "hekla_waiting_requests", 3, model="faulty")
        server.terminate()
        assert idle.is_closed_by_server()
        gate.open()
        assert [answer.result() for answer in accepted] == ["OK"] * 4
    assert server.wait() == 0


def test_no_accepted_request_is_lost_under_load(serve: Serve, models: Path) -> None:
    server = serve(models, "--python-models", str(models))
    underway = threading.Event()

    def client() -> tuple[int, list[str]]:
        """Ask until the connection is refused or closed between two requests; a lost answer is a fault."""
        answered, faults = 0, []
        try:
            with RawConnection(server.host_and_port) as connection:
                while True:
                    connection.send(_REQUEST)
                    try:
                        reply = connection.read()
                    except ConnectionError as error:
                        # Closed before any byte of an answer: the server had not taken the request.
                        if "after b''" not in str(error) and "reset" not in str(error):
                            faults.append(str(error))
                        return answered, faults
                    if reply.status != 200:
                        if reply.status != 503:
                            faults.append(repr(reply))
                        return answered, faults
                    answered += 1
                    if answered == 50:
                        underway.set()
        except OSError:
            return answered, faults

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client) for _ in range(8)]
        assert underway.wait(30)
        successes = _successes(server)
        server.terminate()
        results = [one.result() for one in clients]
    assert server.wait() == 0
    assert [fault for _, faults in results for fault in faults] == []
    assert sum(answered for answered, _ in results) >= successes, "an answer counted as sent never came"


def test_a_hanging_engine_does_not_hold_the_server_for_ever(serve: Serve, models: Path, tmp_path: Path) -> None:
    server = serve(models, "--python-models", str(models), "--drain-s", "1")
    gate = Gate(tmp_path)

    def ask() -> int:
        try:
            return server.post_json("/v2/models/faulty/infer", request_document(1.0, mode=gate.mode)).status
        except OSError:
            return 0

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask)
        gate.wait_until_engine_is_here()
        try:
            server.terminate()
            server.wait(15)
        finally:
            gate.open()
        assert held.result() in (0, 503, 504)


def _successes(server: RunningServer) -> float:
    return server.metric("hekla_requests_total", model="adder")
