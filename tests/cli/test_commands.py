"""Every command teaches: help with an example, each option explained; and the start stays lean."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.cli.conftest import Run

from hekla import __version__
from hekla.cli import up
from hekla.cli.main import app

# Any: typer keeps its command classes private.
Command = Any


def commands(command: Command = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield every command that does something, with its words."""
    command = command or typer.main.get_command(app)
    for name, sub in command.commands.items():
        if getattr(sub, "commands", None):
            yield from commands(sub, (*path, name))
        else:
            yield (*path, name), sub


ALL = list(commands())
IDS = [" ".join(path) for path, _ in ALL]


def test_the_commands_are_these() -> None:
    assert sorted(IDS) == [
        "bench llm",
        "build",
        "chat",
        "doctor",
        "explain asm",
        "explain layout",
        "explain proof",
        "explain vectorize",
        "infer",
        "llm profile",
        "models describe",
        "models list",
        "models load",
        "models pull",
        "models unload",
        "quantize",
        "serve",
        "up",
        "vector bench",
        "vector create",
        "vector import",
        "vector info",
        "vector search",
        "vector snapshot",
        "vector verify",
        "version",
    ]


@pytest.mark.parametrize(("path", "command"), ALL, ids=IDS)
def test_the_help_shows_an_example_that_is_a_command_line(path: tuple[str, ...], command: Command, run: Run) -> None:
    assert f"hekla {' '.join(path)}" in command.help
    shown = run(*path, "--help")
    assert shown.exit_code == 0
    assert "Example" in shown.output


@pytest.mark.parametrize(("path", "command"), ALL, ids=IDS)
def test_each_option_is_explained(path: tuple[str, ...], command: Command) -> None:
    unexplained = {"log_level", "log_format"}  # their choices say it
    silent = [option.name for option in command.params if not getattr(option, "help", None)]
    assert set(silent) <= unexplained


@pytest.mark.parametrize(("path", "command"), ALL, ids=IDS)
def test_programs_get_json_everywhere(path: tuple[str, ...], command: Command) -> None:
    has_json = any("--json" in option.opts for option in command.params)
    assert has_json or path == ("up",), "`hekla up` is for people"


def test_the_exit_statuses_in_the_help_are_those_of_the_code(run: Run) -> None:
    from hekla.cli.exit_status import Exit

    text = " ".join(run("--help").output.split())
    for status in Exit:
        assert f"{status.value} " in text.partition("Exit status")[2], status


def test_a_misspelled_command_names_the_nearest(run: Run) -> None:
    result = run("serv")
    assert (result.exit_code, "Did you mean 'serve'" in result.output) == (2, True)


def test_the_version_is_the_distributions(run: Run) -> None:
    assert json.loads(run("version", "--json").output)["version"] == __version__


def test_a_fault_of_ours_is_one_line_that_says_how_to_see_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise LookupError("planted")

    monkeypatch.setattr("hekla.cli.checks.run_checks", fault)
    result = run("doctor")
    expected = "error: a fault in hekla: LookupError: planted; run the command again as `hekla --debug ...`\n"
    assert (result.exit_code, result.output) == (70, expected)
    assert isinstance(run("--debug", "doctor").exception, LookupError)


def test_colours_are_off_without_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("doctor").output
    assert "\x1b" not in run("--help").output


def test_up_tells_a_command_the_reader_can_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / ".venv" / "bin" / "hekla"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(command)])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert up._own_command() == ".venv/bin/hekla", "not on the search path"
    monkeypatch.setenv("PATH", str(command.parent))
    assert up._own_command() == "hekla"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_fault() -> None:
    command = [sys.executable, "-m", "hekla", "serve", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.slow
def test_the_command_line_starts_without_what_it_does_not_need() -> None:
    code = "import sys, hekla.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "rich", "onnxruntime", "ssl", "http.client", "asyncio", "PIL", "tokenizers"}
    assert heavy & set(loaded) == set()
