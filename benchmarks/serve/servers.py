"""The servers under test: how each is configured, started and asked.

Each is set up as its own guide advises for small models on one core: its fastest HTTP stack, batching on where it has
any, access logs off, one ONNX Runtime thread.
"""

import abc
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serve import environments
from benchmarks.serve.cases import Case, Port
from benchmarks.serve.exchange import Exchange, Protocol, oip_binary, oip_grpc, oip_json, plain_json, stacked_json
from benchmarks.serve.process import Launch

# Every library that would start threads of its own is told not to: the server has one core.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Server(abc.ABC):
    """One way to serve ONNX files."""

    ready_path = "/v2/health/ready"
    protocols: tuple[Protocol, ...] = ("json", "binary", "grpc")
    is_checked = True  # its answers are compared with ONNX Runtime's
    may_pause = True  # stopping its processes for seconds does it no harm
    environment = ""  # the virtual environment it needs, "" for the one this runs in

    def __init__(self, name: str) -> None:
        self.name = name

    @abc.abstractmethod
    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        """Write what the server reads into an empty folder and say how to start it."""

    def exchange(self, case: Case, protocol: Protocol) -> Exchange | None:
        """Return a request for a case, None where the server or the case has no such form."""
        if protocol not in self.protocols or (protocol == "json" and not case.has_json):
            return None
        path = f"/v2/models/{case.name}/infer"
        if protocol == "grpc":
            return oip_grpc(case)
        return oip_json(case, path) if protocol == "json" else oip_binary(case, path)


def _script(peer: str, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int | None) -> Launch:
    """Start peers/PEER/serve.py in the peer's environment."""
    models = folder / "models.json"
    models.write_text(models_json(cases))
    command = [str(environments.python(peer)), str(environments.PEERS / peer / "serve.py")]
    command += ["--models", str(models), "--http-port", str(http_port)]
    command += ["--grpc-port", str(grpc_port)] if grpc_port is not None else []
    return Launch(command, ONE_THREAD, folder)


def models_json(cases: Sequence[Case]) -> str:
    """Return what the peers' scripts read: where the models are and what goes in and out."""

    def ports(values: Sequence[Port]) -> list[dict[str, object]]:
        return [{"name": port.name, "datatype": port.datatype, "shape": port.shape} for port in values]

    return json.dumps(
        [
            {
                "name": case.name,
                "path": str(case.model),
                "max_batch": case.max_batch,
                "inputs": ports(case.input_ports),
                "outputs": ports(case.output_ports),
            }
            for case in cases
        ]
    )


class Hekla(Server):
    """`hekla serve` on a repository of one folder per model."""

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        repository = folder / "models"
        for case in cases:
            model = repository / case.name
            (model / "1").mkdir(parents=True)
            shutil.copyfile(case.model, model / "1" / "model.onnx")
            (model / "model.toml").write_text(_model_toml(case))
        command = [str(Path(sys.executable).parent / "hekla"), "serve", "--repository", str(repository)]
        command += ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
        return Launch(command, ONE_THREAD, folder)


def _model_toml(case: Case) -> str:
    lines = ["[engine]", 'kind = "onnxruntime"', "threads = 1", "", "[batching]", f"max_batch = {case.max_batch}"]
    if case.max_batch == 1:
        # 64 clients of a slow model wait for over a second; peers queue without limit.
        lines += ["", "[queue]", "max_wait_ms = 10000"]
    return "\n".join(lines) + "\n"


class Floor(Server):
    """An echo on the same front end: no tensors are read, no model runs."""

    is_checked = False
    ready_path = "/"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        root = Path(__file__).parents[2]
        command = [sys.executable, "-m", "benchmarks.serve.floor"]
        command += ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
        return Launch(command, {"PYTHONPATH": str(root)}, folder)


class FastApi(Server):
    """A handler in FastAPI on uvicorn, without batching."""

    protocols = ("json", "binary")
    environment = "fastapi"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        return _script("fastapi", cases, folder, http_port, None)


class LitServe(Server):
    """LitServe speaks JSON of its own."""

    protocols = ("json",)
    ready_path = "/health"
    environment = "litserve"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        return _script("litserve", cases, folder, http_port, None)

    def exchange(self, case: Case, protocol: Protocol) -> Exchange | None:
        if protocol not in self.protocols or not case.has_json:
            return None
        return plain_json(case, f"/predict/{case.name}")


class BentoMl(Server):
    """BentoML speaks JSON of its own; a batchable endpoint takes one array, so several inputs are stacked."""

    protocols = ("json",)
    ready_path = "/readyz"
    environment = "bentoml"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        models = folder / "models.json"
        models.write_text(models_json(cases))
        command = [str(environments.python("bentoml")), "-m", "bentoml", "serve", "service:Models"]
        command += ["--working-dir", str(environments.PEERS / "bentoml"), "--host", "127.0.0.1"]
        command += ["--port", str(http_port)]
        home = {"BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "1"}
        return Launch(command, {**ONE_THREAD, **home, "BENCHMARK_MODELS": str(models)}, folder)

    def exchange(self, case: Case, protocol: Protocol) -> Exchange | None:
        if protocol not in self.protocols or not case.has_json:
            return None
        path = f"/{case.name}"
        return plain_json(case, path) if len(case.inputs) == 1 else stacked_json(case, path)


class MlServer(Server):
    """MLServer with its adaptive batching, models in the server's own process."""

    protocols = ("json", "grpc")
    environment = "mlserver"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        settings = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "grpc_max_message_length": 1 << 26,
            "gzip_enabled": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        for case in cases:
            model = folder / case.name
            model.mkdir()
            batching = {"max_batch_size": case.max_batch, "max_batch_time": 0.0005} if case.max_batch > 1 else {}
            parameters = {"uri": str(case.model)}
            entry = {"name": case.name, "implementation": "runtime.OnnxModel", "parameters": parameters, **batching}
            (model / "model-settings.json").write_text(json.dumps(entry))
        command = [str(environments.python("mlserver").parent / "mlserver"), "start", str(folder)]
        return Launch(command, {**ONE_THREAD, "PYTHONPATH": str(environments.PEERS / "mlserver")}, folder)


class KServe(Server):
    """KServe's Python model server."""

    environment = "kserve"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        return _script("kserve", cases, folder, http_port, grpc_port)


class RayServe(Server):
    """Ray Serve on a one-node cluster. Its health checks dislike being paused."""

    environment = "ray"
    may_pause = False
    ready_path = "/-/healthz"

    def launch(self, cases: Sequence[Case], folder: Path, http_port: int, grpc_port: int) -> Launch:
        launch = _script("ray", cases, folder, http_port, grpc_port)
        environment = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(environments.PEERS / "ray")}
        return Launch(launch.command, {**launch.environment, **environment}, folder)
