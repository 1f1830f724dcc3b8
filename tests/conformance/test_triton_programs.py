"""Triton's own client programs, unchanged, as processes against one server; needs a checkout of them (see PROGRAMS)."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.triton_models import write_triton_models
from tests.conformance.triton_programs import PROGRAMS, Program
from tests.model_folders import write_identity_model
from tests.running_server import RunningServer, running_server

_VARIABLE = "HEKLA_TRITON_EXAMPLES"
_PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of the programs."""
    folder = os.environ.get(_VARIABLE)
    if not folder:
        pytest.skip(f"set {_VARIABLE} to src/python/examples of a checkout of Triton's client repository")
    return Path(folder)


@pytest.fixture(scope="module")
def triton_server(programs: Path, triton_models: Path) -> Iterator[RunningServer]:
    """A server of the seven sample models and nothing else, under the name the programs look for."""
    args = ["--python-models", str(triton_models), "--server-name", "triton"]
    with running_server(triton_models, args=args) as server:
        yield server


@contextlib.contextmanager
def _server_of(count: int, repository: Path) -> Iterator[RunningServer]:
    """A server of the seven sample models and as many others as are missing."""
    write_triton_models(repository)
    for number in range(7, count):
        write_identity_model(repository, f"other_{number}", "FP32")
    with running_server(repository, args=["--python-models", str(repository)]) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.title)
def test_the_program_ends_as_the_table_says(
    programs: Path, triton_server: RunningServer, program: Program, tmp_path: Path
) -> None:
    file = programs / program.name
    if not file.is_file():
        pytest.skip(f"this checkout has no {program.name}")
    if program.models:
        with _server_of(program.models, tmp_path) as server:
            run = _run(file, server, program)
    else:
        run = _run(file, triton_server, program)
    said = run.stdout + run.stderr
    if program.refused:
        assert run.returncode != 0, said
        assert program.prints in said.lower(), said
    else:
        assert run.returncode == 0, said
        assert "PASS" in run.stdout or "PASS" not in file.read_text(), said  # some exit 0 on the way there


def _run(file: Path, server: RunningServer, program: Program) -> "subprocess.CompletedProcess[str]":
    address = server.http_address if program.is_http else server.grpc_address
    command = [sys.executable, str(file), "-u", address, *program.arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_page_lists_every_program() -> None:
    page = _PAGE.read_text()
    assert [program.title for program in PROGRAMS if f"`{program.title}`" not in page] == []


def test_every_program_names_a_test_file_that_exists() -> None:
    assert {program.test for program in PROGRAMS if not (Path(__file__).parent / program.test).is_file()} == set()
