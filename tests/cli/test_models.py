"""`hekla models`: of a server, and of a folder."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.cli.toy_server import ToyServer


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A good model and one with a misspelled key."""
    for name, toml in (
        ("good", 'description = "adds"\ntask = "ocr"\n[engine]\nkind = "onnxruntime"\n'),
        ("bad", "[engin]\n"),
    ):
        (tmp_path / name / "2").mkdir(parents=True)
        (tmp_path / name / "model.toml").write_text(toml)
    return tmp_path


def test_the_list_of_a_server_shows_state_task_and_reason(run: Run, toy: ToyServer) -> None:
    lines = [line.split() for line in run("models", "list", "--url", toy.url).output.splitlines()]
    assert lines[0] == ["model", "version", "state", "task"]
    assert lines[1] == ["ocr", "1", "READY", "ocr", "a", "toy", "for", "ocr"]
    assert lines[-1] == ["broken", "UNAVAILABLE", "model.toml:3:", "nonsense"]


def test_the_list_of_a_folder_needs_no_server(run: Run, repository: Path) -> None:
    found = json.loads(run("models", "list", "--repository", str(repository), "--json").output)
    assert found == [
        {
            "name": "bad",
            "version": "",
            "state": "REFUSED",
            "reason": f"{repository}/bad/model.toml:1: engin: unknown key; did you mean 'engine'?",
        },
        {"name": "good", "version": "2", "state": "ON DISK", "task": "ocr", "description": "adds"},
    ]


def test_describing_shows_tensors_and_what_was_done(run: Run, toy: ToyServer) -> None:
    output = run("models", "describe", "double", "--url", toy.url).output
    assert "a toy for anything" in output
    assert ["input", "x", "FP32", "[-1,", "3]"] in [line.split() for line in output.splitlines()]
    assert "version 1: 4 answered, 2.50 ms on average" in output


def test_describing_as_json_holds_config_and_statistics(run: Run, toy: ToyServer) -> None:
    document = json.loads(run("models", "describe", "double", "--url", toy.url, "--json").output)
    assert document["config"]["max_batch_size"] == 8
    assert document["statistics"][0]["inference_stats"]["success"]["count"] == 4


def test_describing_from_a_folder_shows_every_setting(run: Run, repository: Path) -> None:
    document = json.loads(run("models", "describe", "good", "-r", str(repository), "--json").output)
    assert document["versions"] == ["2"]
    assert document["config"]["queue"]["capacity"] == 512


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("god", "error: --repository: there is no model 'god'; did you mean 'good'?"),
        ("bad", "error: {}/bad/model.toml:1: engin: unknown key; did you mean 'engine'?"),
    ],
)
def test_describing_what_cannot_be_says_why(run: Run, repository: Path, model: str, message: str) -> None:
    result = run("models", "describe", model, "-r", str(repository))
    assert (result.exit_code, result.output.strip()) == (1, message.format(repository))


@pytest.mark.parametrize("action", ["load", "unload"])
def test_control_asks_the_server(run: Run, toy: ToyServer, action: str) -> None:
    assert run("models", action, "ocr", "--url", toy.url).output == f"ocr: {action}ed\n"
    assert toy.seen == [f"POST /v2/repository/models/ocr/{action}"]


def test_control_of_an_unknown_model_fails(run: Run, toy: ToyServer) -> None:
    result = run("models", "load", "ocrr", "--url", toy.url)
    assert (result.exit_code, result.output) == (1, "error: unknown model 'ocrr'\n")


def test_pulling_an_unknown_sample_names_the_nearest(run: Run, tmp_path: Path) -> None:
    result = run("models", "pull", "embedd", "-r", str(tmp_path))
    assert (result.exit_code, result.output) == (1, "error: 'embedd' is not a sample model; did you mean 'embed'?\n")


def test_an_empty_folder_says_where_models_come_from(run: Run, tmp_path: Path) -> None:
    assert "`hekla models pull` fetches the samples" in run("models", "list", "-r", str(tmp_path)).output
