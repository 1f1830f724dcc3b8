"""`hekla chat` against a running server, at a terminal and in scripts."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.running_server import RunningServer, running_server
from tests.serve.text.sse_client import wait_for
from tests.text_models import write_text_model

pytestmark = pytest.mark.slow

_TIMEOUT_S = 30.0
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("models")
    write_text_model(repository, "words")
    write_text_model(repository, "slow", engine="pace_ms = 30")
    with running_server(repository) as running:
        yield running


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._own, far = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "COLUMNS": "120", "INPUTRC": "/dev/null"}
        command = [sys.executable, "-m", "hekla", "chat", *arguments]
        # A terminal of its own, so that Ctrl-C reaches it.
        self.process = subprocess.Popen(
            command, stdin=far, stdout=far, stderr=far, env=environment, start_new_session=True, close_fds=True
        )
        os.close(far)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def wait_for(self, pattern: str) -> str:
        """Read until something new matches; return all that was read for it."""
        until_s = time.monotonic() + _TIMEOUT_S
        read = ""
        while not re.search(pattern, read):
            left_s = until_s - time.monotonic()
            assert left_s > 0, f"{pattern!r} never came: {read!r}"
            if select.select([self._own], [], [], left_s)[0]:
                try:
                    read = _COLOUR.sub("", read + os.read(self._own, 1 << 16).decode())
                except OSError:  # the far end is closed
                    raise AssertionError(f"{pattern!r} never came: {read!r}") from None
        self.seen += read
        return read

    def end(self) -> int:
        """Type Ctrl-D; return the exit status."""
        self.type("\x04")
        return self.process.wait(_TIMEOUT_S)

    def close(self) -> None:
        """Take the terminal away."""
        self.process.kill()
        self.process.wait()
        os.close(self._own)


@contextlib.contextmanager
def at_terminal(*arguments: str) -> Iterator[Terminal]:
    """Run `hekla chat` at a terminal; it is gone at the end."""
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()


def test_a_conversation_at_a_terminal(server: RunningServer) -> None:
    with at_terminal("words", "--url", server.http_url, "--temperature", "0") as terminal:
        terminal.wait_for("words: /help says.*\n> ")
        terminal.type("hello\n")
        first = terminal.wait_for(r"\[\d+ tokens, [\d.]+ tokens/s, first after \d+ ms; \d+ read\]\r\n> ")
        assert "The end is near" in first
        terminal.type("and again, please, with more words\n")
        second = terminal.wait_for(r"read.*\]\r\n> ")
        read = [int(found) for found in re.findall(r"(\d+) read", first + second)]
        assert read[1] > 2 * read[0], "the second question is read behind the first and its answer"
        assert re.search(r", \d+ of them kept\]", second)
        terminal.type("/history\n")
        assert terminal.wait_for("> $").count("assistant: ") == 2
        terminal.type("/system Be brief.\n")
        terminal.wait_for("instructions: Be brief.\r\n> ")
        terminal.type("/reset\n")
        terminal.wait_for("forgotten\r\n> ")
        terminal.type("/model\n")
        terminal.wait_for("slow\r\nwords\r\n> ")
        terminal.type("/halp\n")
        terminal.wait_for("no command /halp; did you mean '/help'?")
        terminal.type("/help\n")
        terminal.wait_for("Ctrl-C stops an answer\r\n> ")
        terminal.type("x" * 3000 + "\n")
        terminal.wait_for(r"2048 tokens[\s\S]*> ")
        terminal.type("hello\n")
        terminal.wait_for(r"read\]\r\n> ")
        assert terminal.end() == 0


def test_ctrl_c_stops_an_answer_and_the_conversation_goes_on(server: RunningServer) -> None:
    with at_terminal("slow", "--url", server.http_url, "--temperature", "0") as terminal:
        terminal.wait_for("> ")
        terminal.type("hello\n")
        terminal.wait_for("The e")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for(r"\[stopped\]\r\n> ")
        wait_for(server, "slow", running=0, waiting=0)
        terminal.type("/history\n")
        assert "assistant: The e" in terminal.wait_for("assistant: .*\r\n> ")
        assert terminal.end() == 0


def test_once_answers_and_ends(run: Run, server: RunningServer) -> None:
    asked = ("chat", "words", "--url", server.http_url, "--temperature", "0")
    result = run(*asked, "--once", "hello")
    assert (result.exit_code, result.output) == (0, "The end is near, said the clock, and struck one.\n")
    from_pipe = run(*asked, "--once", "-", stdin=b"hello")
    assert from_pipe.output == result.output
    document = json.loads(run(*asked, "--once", "hello", "--json").output)
    assert document["text"] + "\n" == result.output
    assert (document["model"], document["finish_reason"]) == ("words", "stop")
    assert document["tokens"] > 40
    assert document["tokens_per_s"] > 0


def test_lines_from_a_pipe_are_one_conversation(run: Run, server: RunningServer) -> None:
    result = run("chat", "words", "--url", server.http_url, "--json", stdin=b"hello\n\nhow much?\n")
    first, second = [json.loads(line) for line in result.output.splitlines()]
    assert second["prompt_tokens"] > first["prompt_tokens"] + first["tokens"]


def test_the_same_seed_gives_the_same_answer(run: Run, server: RunningServer) -> None:
    asked = ("chat", "words", "--url", server.http_url, "--seed", "5", "--temperature", "1.5", "--once", "hello")
    assert run(*asked).output == run(*asked).output


def test_the_first_model_that_can_chat_is_taken(run: Run, server: RunningServer) -> None:
    result = run("chat", "--url", server.http_url, "--once", "hello", "--json", "--max-tokens", "2")
    document = json.loads(result.output)
    assert (document["model"], document["tokens"], document["finish_reason"]) == ("slow", 2, "length")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("wordz", "--once", "x"), 1, "no model 'wordz' that can chat is served; did you mean 'words'?"),
        (("words", "--once", "x" * 3000), 1, "2048 tokens"),
        (("words", "--temperature", "3"), 2, "Error"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, server: RunningServer, arguments: tuple[str, ...], status: int, words: str
) -> None:
    result = run("chat", *arguments, "--url", server.http_url)
    assert result.exit_code == status
    assert words in result.output


def test_no_server_is_said(run: Run) -> None:
    result = run("chat", "--url", "http://127.0.0.1:9", "--once", "x")
    assert (result.exit_code, "no answer from" in result.output) == (3, True)


def test_an_answer_cannot_command_the_terminal(run: Run, tmp_path: Path) -> None:
    folder = write_text_model(tmp_path, "wild")
    (folder / "1" / "corpus.txt").write_bytes("red \x1b[31m bell \x07 \x9b31m done".encode())
    with running_server(tmp_path) as server:
        result = run("chat", "wild", "--url", server.http_url, "--temperature", "0", "--once", "x")
    assert result.output == "red [31m bell  31m done\n"


def test_infer_shows_what_a_model_writes(run: Run, server: RunningServer) -> None:
    result = run("infer", "words", "hello", "--url", server.http_url)
    assert (result.exit_code, len(result.output) > 10) == (0, True)
    first, second = json.loads(run("infer", "words", "one", "two", "--url", server.http_url, "--json").output)
    assert (first["input"], second["input"]) == ("one", "two")
    assert first["text"]
