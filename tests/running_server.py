"""A `hekla serve` process of its own for tests that need the whole server."""

import contextlib
import http.client
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

START_S = 60.0  # two cores shared with other work: generous, it only bounds a hang
STOP_S = 30.0


class RunningServer:
    """A server that answers: where to reach it, and the process to send signals to."""

    def __init__(self, process: "subprocess.Popen[str]", http_url: str, grpc_address: str, log: Path) -> None:
        self.process, self.http_url, self.grpc_address, self.log = process, http_url, grpc_address, log

    @property
    def http_address(self) -> str:
        """host:port of the HTTP door, as tritonclient wants it."""
        return self.http_url.removeprefix("http://")

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The HTTP door's address for a raw socket."""
        host, port = self.http_address.rsplit(":", 1)
        return host, int(port)

    def log_text(self) -> str:
        """Everything the server wrote to stderr so far."""
        return self.log.read_text(errors="replace")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> "Reply":
        """Make one HTTP request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.host_and_port, timeout=timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def post_json(
        self, path: str, document: object, headers: dict[str, str] | None = None, timeout_s: float = 30.0
    ) -> "Reply":
        """POST a JSON document."""
        return self.request("POST", path, json.dumps(document), headers, timeout_s)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of one metric's samples whose labels include those given (0 where there is none)."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = 0.0
        for line in self.request("GET", "/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.split("{", 1)[0] == name and all(label in head for label in wanted):
                total += float(value)
        return total

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for the process and return its exit status."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop within {timeout_s} s:\n{self.log_text()[-4000:]}") from None


class Reply:
    """One HTTP response, read whole."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:  # whatever the server sent: the test says what it expects
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an Open Inference Protocol error body."""
        document = self.json()
        assert list(document) == ["error"], document
        assert isinstance(document["error"], str)
        return document["error"]

    def __repr__(self) -> str:
        return f"Reply({self.status}, {self.body[:400]!r})"


@contextlib.contextmanager
def running_server(*repositories: Path, args: Sequence[str] = ()) -> Iterator[RunningServer]:
    """Start `hekla serve` on free ports, wait until it is ready, and stop it with SIGTERM; it must then exit 0.

    A test that stopped or killed the process itself is left alone at the end.
    """
    command = [sys.executable, "-m", "hekla", "serve", "--host", "127.0.0.1", "--http-port", "0", "--grpc-port", "0"]
    for repository in repositories:
        command += ["--repository", str(repository)]
    command += ["--json", *args]
    with tempfile.TemporaryDirectory(prefix="hekla-server-") as folder:
        log = Path(folder) / "stderr"
        with log.open("w") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_pass_on, args=(process, lines), daemon=True)
        reader.start()
        try:
            ready = _ready(process, lines, log)
            server = RunningServer(process, ready["http"], ready["grpc"], log)
            yield server
            if process.poll() is None:
                server.terminate()
                status = server.wait()
                assert status == 0, f"the server exited with {status}:\n{server.log_text()[-4000:]}"
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
            assert process.stdout is not None
            process.stdout.close()


def _pass_on(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")  # end of output


def _ready(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str]", log: Path) -> dict[str, str]:
    while True:
        try:
            line = lines.get(timeout=START_S)
        except queue.Empty:
            raise AssertionError(f"the server was not ready within {START_S} s:\n{log.read_text()[-4000:]}") from None
        if not line:
            raise AssertionError(f"the server ended with {process.wait()} before it was ready:\n{log.read_text()}")
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if isinstance(event, dict) and event.get("event") == "ready":
                return {"http": event["http"], "grpc": event["grpc"]}
