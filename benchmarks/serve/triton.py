"""Triton: the real server, as the wheel `nvidia-pytriton` carries it, started without PyTriton.

The wheel carries the server and its Python back end. Its ONNX Runtime back end it does not carry: `onnx_backend`
beside this builds one on Triton's and ONNX Runtime's C interfaces, so that no Python runs in Triton's process.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmarks.serve import environments, onnx_backend
from benchmarks.serve.cases import Case, Port
from benchmarks.serve.process import Launch
from benchmarks.serve.servers import ONE_THREAD, Server

_TYPES = {"FP32": "TYPE_FP32", "INT64": "TYPE_INT64"}


class Triton(Server):
    """tritonserver with one instance per model and dynamic batching."""

    environment = "triton"

    def __init__(self, name: str, backend: Literal["onnx", "python"], delay_us: int) -> None:
        super().__init__(name)
        self._backend = backend
        self._delay_us = delay_us

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        server = _site_packages() / "pytriton" / "tritonserver"
        backends = folder / "backends"
        if self._backend == "python":
            _lay_out_python_backend(server, backends / "python")
        else:
            target = backends / onnx_backend.NAME
            target.mkdir(parents=True)
            (target / onnx_backend.FILE).symlink_to(onnx_backend.build())
        for case in cases:
            model = folder / "models" / case.name
            (model / "1").mkdir(parents=True)
            (model / "1" / "model.onnx").symlink_to(case.model)
            if self._backend == "python":
                shutil.copy(environments.PEERS / "triton" / "model.py", model / "1" / "model.py")
            (model / "config.pbtxt").write_text(self._config(case))
        options = {
            "model-repository": folder / "models",
            "backend-directory": backends,
            "http-address": "127.0.0.1",
            "http-port": http_port,
            "grpc-address": "127.0.0.1",
            "grpc-port": grpc_port,
            "allow-metrics": "false",
            "log-info": "false",
        }
        command = [str(server / "bin" / "tritonserver"), *(f"--{name}={value}" for name, value in options.items())]
        interpreter = environments.python("triton")
        paths = {
            # The Python back end's stub takes its prefix from the first python on the path.
            "PATH": f"{interpreter.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(_site_packages()),
        }
        return Launch(command, {**ONE_THREAD, **paths}, folder)

    def _config(self, case: Case) -> str:
        batch = case.max_batch > 1
        backend = "python" if self._backend == "python" else onnx_backend.NAME
        lines = [f'name: "{case.name}"', f'backend: "{backend}"', f"max_batch_size: {case.max_batch if batch else 0}"]
        lines += [_port("input", port, batch) for port in case.input_ports]
        lines += [_port("output", port, batch) for port in case.output_ports]
        lines += ["instance_group [ { count: 1, kind: KIND_CPU } ]"]
        if batch:
            lines += [f"dynamic_batching {{ max_queue_delay_microseconds: {self._delay_us} }}"]
        return "\n".join(lines) + "\n"


def _port(kind: str, port: Port, drops_batch_axis: bool) -> str:
    extents = port.shape[1:] if drops_batch_axis else port.shape
    dims = ", ".join(str(extent) for extent in extents)
    return f'{kind} [ {{ name: "{port.name}", data_type: {_TYPES[port.datatype]}, dims: [ {dims} ] }} ]'


def _site_packages() -> Path:
    return next((environments.cache() / "triton" / "venv" / "lib").glob("python3*/site-packages"))


def _lay_out_python_backend(server: Path, target: Path) -> None:
    """Put the back end, and the stub for the environment's Python, where the server looks for them."""
    target.mkdir(parents=True)
    for path in (server / "backends" / "python").iterdir():
        (target / path.name).symlink_to(path)
    version = _site_packages().parent.name.removeprefix("python")
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    (target / stub.name).symlink_to(stub)
