"""Every server under test by name, and how one is brought to the point where it answers rightly."""

import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serve import environments
from benchmarks.serve.cases import Case
from benchmarks.serve.exchange import PROTOCOLS, Exchange, Protocol
from benchmarks.serve.load import ask
from benchmarks.serve.process import ServerProcess, free_port
from benchmarks.serve.servers import BentoMl, FastApi, Floor, Hekla, KServe, LitServe, MlServer, RayServe, Server
from benchmarks.serve.triton import Triton

_POLL_S = 0.01

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Floor("floor"),
        Hekla("hekla"),
        Triton("triton", "onnx", delay_us=500),
        Triton("triton-nodelay", "onnx", delay_us=0),
        Triton("triton-python", "python", delay_us=500),
        FastApi("fastapi"),
        LitServe("litserve"),
        BentoMl("bentoml"),
        MlServer("mlserver"),
        KServe("kserve"),
        RayServe("ray"),
    )
}


class ServerFailedError(Exception):
    """A server under test ended, never became ready, or answered wrongly."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers rightly."""

    server: Server
    process: ServerProcess
    http_port: int
    grpc_port: int
    ready_s: float  # from the start of the process to a right answer of each model

    def port(self, exchange: Exchange) -> int:
        return self.grpc_port if exchange.is_grpc else self.http_port

    def check(self, cases: Sequence[Case], protocols: Sequence[Protocol] = PROTOCOLS) -> None:
        """Ask every case in every form once. Errors: ServerFailedError for a wrong answer."""
        for case in cases:
            for protocol in protocols:
                exchange = self.server.exchange(case, protocol)
                if exchange is None:
                    continue
                place = f"{self.server.name}, {case.name}, {protocol}"
                try:
                    head, body = ask(self.port(exchange), exchange)
                    problem = case.check(exchange.decode(head, body)) if self.server.is_checked else ""
                except (OSError, TimeoutError, LookupError, ValueError) as error:
                    raise ServerFailedError(f"{place}: {error}; log: {self.process.log}") from error
                if problem:
                    raise ServerFailedError(f"{place}: {problem}")


def start(server: Server, cases: Sequence[Case], folder: Path, *, core: int, timeout_s: float = 120.0) -> Running:
    """Start a server in an empty folder and return once it has answered each case rightly.

    Errors: ServerFailedError; the process is stopped then.
    """
    if server.environment and not environments.python(server.environment).exists():
        raise ServerFailedError(
            f"{server.name}: no environment; run python -m benchmarks.serve.environments {server.environment}"
        )
    http_port, grpc_port = free_port(), free_port()
    launch = server.launch(cases, folder, http_port, grpc_port)
    process = ServerProcess(launch, core)
    try:
        _wait_ready(server, process, http_port, timeout_s)
        running = Running(server, process, http_port, grpc_port, 0.0)
        for case in cases:
            _wait_answer(running, case, timeout_s)
        ready_s = time.perf_counter() - process.started_s
        return Running(server, process, http_port, grpc_port, ready_s)
    except BaseException:
        process.stop()
        raise


def _wait_ready(server: Server, process: ServerProcess, port: int, timeout_s: float) -> None:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", server.ready_path)
            status = connection.getresponse().status
            connection.close()
            if status == http.HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            pass
        _expect_alive(server, process, timeout_s)


def _wait_answer(running: Running, case: Case, timeout_s: float) -> None:
    protocol = next((protocol for protocol in PROTOCOLS if running.server.exchange(case, protocol) is not None), None)
    while protocol is not None:
        try:
            running.check([case], [protocol])
            break
        except ServerFailedError:
            if time.perf_counter() - running.process.started_s > timeout_s:
                raise
            _expect_alive(running.server, running.process, timeout_s)


def _expect_alive(server: Server, process: ServerProcess, timeout_s: float) -> None:
    if not process.is_running:
        tail = process.log.read_text(errors="replace")[-2000:]
        raise ServerFailedError(f"{server.name} ended with {process.exit_code} before it was ready:\n{tail}")
    if time.perf_counter() - process.started_s > timeout_s:
        raise ServerFailedError(f"{server.name} was not ready after {timeout_s} s; log: {process.log}")
    time.sleep(_POLL_S)
