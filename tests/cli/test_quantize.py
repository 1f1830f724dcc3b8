"""`hekla quantize` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.llm.files.small_files import write_small_gguf
from typer.testing import Result

from hekla.llm.model_file import open_model
from hekla.llm.tensors import Quantisation

Run = Callable[..., Result]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_small_gguf(tmp_path / "m.gguf", kind=Quantisation.F32)


def test_a_gguf_is_written_and_described(source: Path, tmp_path: Path, run: Run) -> None:
    target = tmp_path / "q.gguf"
    done = run("quantize", str(source), str(target), "--to", "q4_0")
    assert done.exit_code == 0
    assert f"{target}: Q4_0 (F32 5, Q4_0 14, Q8_0 2)" in done.output
    assert open_model(target).quantisation == "Q4_0"


def test_an_awq_folder_is_written_and_described_for_programs(source: Path, tmp_path: Path, run: Run) -> None:
    done = run("quantize", str(source), str(tmp_path / "awq"), "--to", "awq", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["kind"], report["detail"]) == ("AWQ", {"group": 32})
    assert report["bytes_after"] < report["bytes_before"]
    assert open_model(tmp_path / "awq").quantisation == "AWQ4"


def test_an_unknown_kind_is_refused_in_one_line(source: Path, tmp_path: Path, run: Run) -> None:
    done = run("quantize", str(source), str(tmp_path / "q.gguf"), "--to", "iq2_xs")
    assert done.exit_code == 1
    assert "--to: 'iq2_xs' is no kind that is written; known: f32, f16" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "q.gguf").exists()
