"""The commands against `hekla serve` itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Run
from tests.conftest import Serve
from tests.model_folders import write_identity_model

pytestmark = pytest.mark.slow


def test_a_model_is_listed_asked_unloaded_and_loaded(run: Run, serve: Serve, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    write_identity_model(repository, "copy", "FP32", shape=("n", 3))
    ready = tmp_path / "ready.json"
    server = serve(repository, "--ready-file", str(ready))
    assert json.loads(ready.read_text())["http"] == server.http_url

    (entry,) = json.loads(run("models", "list", "--json", "--url", server.http_url).output)
    assert (entry["name"], entry["version"], entry["state"]) == ("copy", "1", "READY")
    document = json.loads(run("models", "describe", "copy", "--json", "--url", server.http_url).output)
    assert document["inputs"] == [{"name": "INPUT0", "datatype": "FP32", "shape": [-1, 3]}]

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    answer = json.loads(run("infer", "copy", str(tmp_path / "x.npy"), "--json", "--url", server.http_url).output)
    assert answer["outputs"]["OUTPUT0"]["data"] == x.tolist()

    assert run("models", "unload", "copy", "--url", server.http_url).exit_code == 0
    assert run("infer", "copy", "[[1, 2, 3]]", "--url", server.http_url).exit_code == 1
    assert run("models", "load", "copy", "--url", server.http_url).exit_code == 0
    assert run("infer", "copy", "[[1, 2, 3]]", "--url", server.http_url).exit_code == 0


def test_the_console_is_served(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path)
    page = server.request("GET", "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Hekla</title>" in page.text
    assert server.request("GET", "/console/console.js").headers["content-type"] == "text/javascript; charset=utf-8"


def serve_refused(*arguments: str, **environment: str) -> str:
    """Run `hekla serve` in a process of its own, which must end by itself with status 1; return its last line."""
    command = [sys.executable, "-m", "hekla", "serve", "--http-port", "0", "--no-grpc", *arguments]
    ended = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended
    return ended.stderr.splitlines()[-1]


def test_repositories_come_from_the_environment_as_a_search_path_does(tmp_path: Path) -> None:
    missing = tmp_path / "not there"
    told = serve_refused(HEKLA_REPOSITORY=f"{tmp_path}{os.pathsep}{missing}")
    assert told.startswith(f"error: --repository: {missing} cannot be read: No such file or directory")


def test_a_port_in_use_is_one_line(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path)
    port = server.host_and_port[1]
    told = serve_refused("-r", str(tmp_path), "--http-port", str(port))
    assert told.startswith(f"error: cannot listen on 127.0.0.1:{port}: ")
