"""Run the code blocks of a page as its reader would, and compare what they print with what the page shows.

A fenced block takes part if its info string has a second word:

    ```bash run          run by bash; must exit 0
    ```bash fails        run by bash; must not exit 0
    ```python run        run by this Python
    ```bash serve        one `hekla serve ...`: started on free ports; later blocks talk to this server
    ```toml file=a/b     written to a/b (any language)
    ```text output       what the block before it prints, standard error included

Blocks run in order, in one folder, with the addresses of a default server (127.0.0.1:8000 and :8001) replaced by those
of the running one, there and back. In expected output `...` stands for anything in a line, or, alone in a line, for any
lines; runs of spaces are one; numbers with a decimal point agree within 0.01, and any two numbers before " ms" agree.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.running_server import RunningServer, running_server

_FENCE = re.compile(r"^( *)(`{3,})([^`\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
# A wildcard or a number that is compared; digits that touch a wildcard are text.
_TOKEN = re.compile(r"(?<![\w.])[-+]?\d+\.\d+(?![\w.])|(?<![\w.])\d+(?= ms\b)|\.\.\.")
_ROLES = ("run", "fails", "serve", "output", "file")
_HTTP, _GRPC = "127.0.0.1:8000", "127.0.0.1:8001"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `role` is "" where it takes no part; `path` is set with the role "file"."""

    page: str
    line: int
    language: str
    role: str
    path: str
    text: str

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"{self.page}:{self.line}"


def blocks_of(markdown: str, page: str) -> list[Block]:
    """Return every fenced block of a page, in order. Raises AssertionError for a role that does not exist."""
    found = []
    for fence in _FENCE.finditer(markdown):
        line = markdown.count("\n", 0, fence.start()) + 1
        language, _, word = fence[3].strip().partition(" ")
        role, _, path = word.strip().partition("=")
        assert not role or role in _ROLES, f"{page}:{line}: unknown role {role!r}; known: {', '.join(_ROLES)}"
        assert (role == "file") == bool(path), f"{page}:{line}: a path goes with `file=`, and with nothing else"
        indent = len(fence[1])
        text = "".join(text[indent:] for text in fence[4].splitlines(keepends=True))
        found.append(Block(page, line, language, role, path, text))
    return found


def run_page(page: Path, folder: Path, server: RunningServer | None = None) -> int:
    """Run the page's blocks in a folder; return how many ran.

    Raises AssertionError, with the block's line, where a block fails or prints something else than the page shows.
    """
    return run_blocks(blocks_of(page.read_text(), page.name), folder, server)


def run_blocks(blocks: Sequence[Block], folder: Path, server: RunningServer | None = None) -> int:
    """Run blocks as `run_page` does."""
    ran = 0
    printed: str | None = None
    with contextlib.ExitStack() as servers:
        for block in blocks:
            if block.role == "file":
                target = folder / block.path
                assert target.resolve().is_relative_to(folder.resolve()), f"{block.where}: {block.path} leads out"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            elif block.role == "serve":
                servers.close()
                server = servers.enter_context(running_server(args=_serve_arguments(block, folder)))
            elif block.role == "output":
                assert printed is not None, f"{block.where}: no block before this output was run"
                assert_shows(block.text, printed, block.where)
                printed = None
            elif block.role:
                printed = _run(block, folder, server)
                ran += 1
    return ran


def assert_shows(expected: str, printed: str, where: str) -> None:
    """Return if what was printed is what the page shows; raise AssertionError with both if not."""
    wanted, got = _tidy(expected), _tidy(printed)
    match = re.fullmatch(_pattern(wanted), got)
    if match is not None and all(_agree(*pair) for pair in zip(_numbers(wanted), match.groups(), strict=True)):
        return
    raise AssertionError(f"{where}: the page shows\n{expected}\nbut this was printed\n{printed}")


def _serve_arguments(block: Block, folder: Path) -> list[str]:
    words = shlex.split(block.text, comments=True)
    assert words[:2] == ["hekla", "serve"], f"{block.where}: a block that serves is one `hekla serve ...`"
    return [str(folder / word) if (folder / word).exists() else word for word in words[2:]]


def _run(block: Block, folder: Path, server: RunningServer | None) -> str:
    commands = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    assert block.language in commands, f"{block.where}: {block.language} cannot be run"
    text = block.text
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    if server is not None:
        text = text.replace(_HTTP, server.http_address).replace(_GRPC, server.grpc_address)
        environment["HEKLA_URL"] = server.http_url
    done = subprocess.run(
        [*commands[block.language], text],
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    wrong = done.returncode == 0 if block.role == "fails" else done.returncode != 0
    assert not wrong, f"{block.where}: exit status {done.returncode}\n{done.stdout}"
    if server is not None:
        return done.stdout.replace(server.http_address, _HTTP).replace(server.grpc_address, _GRPC)
    return done.stdout


def _tidy(text: str) -> str:
    lines = [re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def _pattern(wanted: str) -> str:
    lines = []
    for line in wanted.splitlines():
        if line == "...":
            lines.append(r"(?:[^\n]*\n)*?")
            continue
        pattern, start = "", 0
        for token in _TOKEN.finditer(line):
            pattern += re.escape(line[start : token.start()])
            pattern += r"[^\n]*?" if token[0] == "..." else r"([-+]?\d+(?:\.\d+)?)"
            start = token.end()
        lines.append(pattern + re.escape(line[start:]) + r"\n")
    return "".join(lines)


def _numbers(wanted: str) -> list[tuple[str, bool]]:
    """Return each number of the expected output and whether it is a time, which may be anything."""
    tokens = (token for token in _TOKEN.finditer(wanted) if token[0] != "...")
    return [(token[0], wanted.startswith(" ms", token.end())) for token in tokens]


def _agree(wanted: tuple[str, bool], got: str) -> bool:
    number, is_time = wanted
    return is_time or abs(float(number) - float(got)) <= 0.01
