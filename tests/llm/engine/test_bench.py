"""`hekla bench llm`: what is measured, of what, and how it is told."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.llm.tiny_folder import write_tiny_folder
from tests.samples.sample_repository import version_folder
from typer.testing import CliRunner

from hekla.base.errors import EngineError
from hekla.cli.main import app
from hekla.engines.ngram.engine import NgramEngine, NgramOptions
from hekla.llm.bench import Bench, Figure, bytes_per_token, measure_cold_start, measure_figures, measure_memory
from hekla.llm.model_file import open_model
from hekla.llm.tensors import StoredTensor

REFERENCE = ["--option", "runner=reference", "--option", "kv_type=f32", "--option", "max_step_tokens=32"]


def test_every_round_is_timed_and_what_has_no_room_is_left_out() -> None:
    ticks = itertools.count()
    engine = NgramEngine("words", b"The end is near, said the clock.", NgramOptions(context=600))
    figures = measure_figures(engine, rounds=2, clock=lambda: float(next(ticks)))
    assert [figure.name for figure in figures] == [
        "prefill 128",
        "prefill 512",
        "decode",
        "batch 4",
        "batch 8",
        "batch 16",
    ]
    assert [figure.tokens_per_s for figure in figures] == [128, 512, 64, 4 * 32, 8 * 32, 16 * 32]
    assert not engine.has_work


def test_the_share_is_of_the_decoded_answer() -> None:
    figures = (Figure("prefill 128", 900, 1, 1, 1), Figure("decode", 100, 1, 1, 1))
    found = Bench("m", "Q4_1", 2, figures, 0.5, 1 << 20, read_bytes_per_s=20e9, bytes_per_token=100_000_000)
    assert found.document()["bandwidth_share"] == pytest.approx(0.5)


def test_an_embedding_that_is_not_the_head_is_not_read(tmp_path: Path) -> None:
    model = open_model(write_tiny_folder(tmp_path / "tiny" / "1"))
    tied = replace(model, config=replace(model.config, is_head_tied=True))
    apart = replace(model, config=replace(model.config, is_head_tied=False))
    table: StoredTensor = model.tensors["token_embd.weight"]
    assert bytes_per_token(tied) - bytes_per_token(apart) == table.data.nbytes


@pytest.mark.slow
def test_the_command_writes_a_table_and_json(tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "tiny" / "1")
    shown = CliRunner().invoke(app, ["bench", "llm", str(folder.parent), "--rounds", "1", *REFERENCE])
    assert shown.exit_code == 0, shown.output
    assert "memory gives" in shown.output
    told = CliRunner().invoke(app, ["bench", "llm", str(folder), "--rounds", "1", "--json", *REFERENCE])
    document = json.loads(told.stdout)
    assert document["model"] == "tiny"
    assert document["cold_start_s"] > 0
    assert document["peak_bytes"] > 10 << 20
    assert all(figure["tokens_per_s"] > 0 for figure in document["figures"])


@pytest.mark.slow
def test_memory_is_read_at_some_speed() -> None:
    assert 1e8 < measure_memory(1) < 1e13


@pytest.mark.slow
def test_a_cold_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model here"):
        measure_cold_start(tmp_path, {})


@pytest.mark.slow
def test_smollm2_starts_cold_in_half_a_second() -> None:
    folder = version_folder("smollm2")
    seconds = np.min([measure_cold_start(folder, {})[0] for _ in range(5)])
    assert seconds < 2.5, "0.5 s where nothing else runs"
