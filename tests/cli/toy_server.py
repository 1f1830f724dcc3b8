"""A server of the Open Inference Protocol in a page: canned metadata, answers computed by one function per model."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Array
from hekla.serve.oip.tensors import decode_raw, encode_raw

# Any: JSON documents.
Answer = Callable[[Mapping[str, Array], Mapping[str, Any]], Mapping[str, Array]]


@dataclass(frozen=True)
class ToyModel:
    """Inputs as (name, datatype, shape), and what is answered to them and the request's parameters."""

    task: str
    inputs: list[tuple[str, str, list[int]]]
    answer: Answer


@dataclass
class ToyServer:
    """Where it listens, and the requests it saw as "METHOD path"."""

    url: str = ""
    models: Mapping[str, ToyModel] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)


@contextlib.contextmanager
def toy_server(models: Mapping[str, ToyModel]) -> Iterator[ToyServer]:
    """Serve the models on a free port until the block ends."""
    toy = ToyServer(models=models)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers["Content-Length"])))

        def _serve(self, body: bytes) -> None:
            toy.seen.append(f"{self.command} {self.path}")
            head_length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
            try:
                status, head, raw = respond(toy, self.path, body, head_length)
            except KeyError as error:
                status, head, raw = 404, json.dumps({"error": f"unknown model {error}"}).encode(), b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(head) + len(raw)))
            if raw:
                self.send_header("Inference-Header-Content-Length", str(len(head)))
            self.end_headers()
            self.wfile.write(head + raw)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        toy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield toy
        finally:
            server.shutdown()
            thread.join()


def respond(toy: ToyServer, path: str, body: bytes, head_length: int) -> tuple[int, bytes, bytes]:
    """Return status, JSON and the binary part after it. Errors: KeyError for an unknown model."""
    if path == "/v2/repository/index":
        index = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in toy.models]
        index.append({"name": "broken", "version": "", "state": "UNAVAILABLE", "reason": "model.toml:3: nonsense"})
        return 200, json.dumps(index).encode(), b""
    parts = path.removeprefix("/v2/").removeprefix("repository/").split("/")
    name, action = parts[1], parts[-1]
    model = toy.models[name]
    if action in ("load", "unload"):
        return 200, b"", b""
    if action == "config":
        return 200, json.dumps({"name": name, "max_batch_size": 8}).encode(), b""
    if action == "stats":
        success = {"success": {"count": 4, "ns": 10_000_000}}
        stats = {"model_stats": [{"name": name, "version": "1", "inference_stats": success}]}
        return 200, json.dumps(stats).encode(), b""
    if action == "infer":
        return infer(name, model, body, head_length)
    document = {
        "name": name,
        "versions": ["1"],
        "platform": "toy",
        "inputs": [{"name": n, "datatype": d, "shape": s} for n, d, s in model.inputs],
        "outputs": [],
        "parameters": {"task": model.task, "description": f"a toy for {model.task or 'anything'}"},
    }
    return 200, json.dumps(document).encode(), b""


def infer(name: str, model: ToyModel, body: bytes, head_length: int) -> tuple[int, bytes, bytes]:
    """Answer one inference request in the binary form."""
    request = json.loads(body[:head_length])
    tensors: dict[str, Array] = {}
    at = head_length
    for entry in request["inputs"]:
        size = entry["parameters"]["binary_data_size"]
        tensors[entry["name"]] = decode_raw("toy", DType(entry["datatype"]), entry["shape"], body[at : at + size])
        at += size
    try:
        outputs = model.answer(tensors, request["parameters"])
    except ValueError as error:
        return 400, json.dumps({"error": str(error)}).encode(), b""
    raw = {key: bytes(encode_raw(array)) for key, array in outputs.items()}
    entries = [
        {
            "name": key,
            "datatype": DType.of(array.dtype).value,
            "shape": list(array.shape),
            "parameters": {"binary_data_size": len(raw[key])},
        }
        for key, array in outputs.items()
    ]
    document = {"model_name": name, "model_version": "1", "outputs": entries}
    return 200, json.dumps(document).encode(), b"".join(raw.values())


def byte_strings(*items: bytes) -> Array:
    """Return a BYTES tensor of one axis."""
    array = np.empty(len(items), np.object_)
    array[:] = items
    return array
