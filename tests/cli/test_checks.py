"""`hekla doctor`: each check, on machines that are not this one."""

import socket
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from hekla.cli import checks


def test_a_port_in_use_fails_with_the_option_to_change() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        finding = checks._port("http", listener.getsockname()[1])
    assert finding.state == "fail"
    assert finding.cure == "stop what listens there, or choose another --http-port"


@pytest.mark.parametrize(("mib", "state"), [(None, "note"), (100, "note"), (4000, "ok")])
def test_little_memory_is_noted(mib: int | None, state: str) -> None:
    assert checks._memory(mib).state == state


def test_a_cpu_without_vectors_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert checks._cpu(frozenset({"sse2"})).state == "note"
    assert checks._cpu(frozenset({"avx2"})).state == "ok"


def test_a_missing_package_fails_and_a_missing_extra_does_not() -> None:
    wanted = ["numpy>=2", "nowhere-to-be-found>=1", 'not-there-either>=1; extra == "otel"']
    assert [(f.state, f.found) for f in checks._packages(wanted)] == [("fail", "nowhere-to-be-found is missing")]
    assert [f.found for f in checks._packages(["numpy>=2"])] == ["all 1 that are needed"]


def test_a_model_that_would_be_refused_fails(tmp_path: Path, run: Run) -> None:
    (tmp_path / "bad" / "1").mkdir(parents=True)
    (tmp_path / "bad" / "model.toml").write_text("[engin]\n")
    finding, empty = checks._models(tmp_path)
    assert (finding.state, "did you mean 'engine'?" in finding.found, empty.state) == ("fail", True, "note")
    assert run("doctor", "-r", str(tmp_path)).exit_code == 1
