"""Every `hekla` command and option that a page names exists, and every command is named in the README."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer
from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT, name_of, pages

from hekla.cli.main import app

_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[\s|(])(?:\.venv/bin/)?hekla (?!is\b)(?P<words>[^|;&#\n]+)")
_OPTION = re.compile(r"(--[a-z][a-z0-9-]*)(?:[ =].*)?")
# Other programs' options are discussed there.
_OTHER_PROGRAMS = ("docs/adr/", "benchmarks/", "docs/conformance.md", "tests/")

# Any: typer's own command classes are private.
ROOT_COMMAND: Any = typer.main.get_command(app)


def commands(command: Any = ROOT_COMMAND, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, command) of every command, groups included."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}".strip())


def options(command: Any) -> set[str]:
    """Return the options a command takes."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
    }


ALL_OPTIONS = {option for _, command in commands() for option in options(command)}


def fault(words: str) -> str:
    """Return what is wrong with the words after `hekla`, or ""."""
    try:
        parts = shlex.split(words)
    except ValueError:
        parts = words.split()
    command, path, known = ROOT_COMMAND, "hekla", options(ROOT_COMMAND)
    for part in parts:
        children = getattr(command, "commands", None)
        if part.startswith("-") and part != "-" and not re.fullmatch(r"-[\d.].*", part):
            if part.split("=")[0] not in known:
                return f"`{path}` has no option {part}"
        elif children is not None and part != "...":
            if part not in children:
                return f"`{path}` has no command {part}"
            command, path = children[part], f"{path} {part}"
            known = options(command)
    return ""


def faults(text: str, page: str) -> list[str]:
    """Return what is wrong with the commands and options a page names."""
    spans = _SPAN.findall(_FENCE.sub("", text))
    shells = ("bash", "sh", "console", "shell")
    lines = [line for b in blocks_of(text, page) if b.language in shells for line in b.text.splitlines()]
    found = [fault(match["words"]) for code in (*spans, *lines) for match in _COMMAND.finditer(code)]
    if not page.startswith(_OTHER_PROGRAMS):
        named = (match[1] for span in spans if (match := _OPTION.fullmatch(span)))
        found += [f"no command has the option {option}" for option in named if option not in ALL_OPTIONS]
    return [text for text in found if text]


def test_every_command_and_option_named_exists() -> None:
    found = {name_of(page): faults(page.read_text(), name_of(page)) for page in pages()}
    assert {page: texts for page, texts in found.items() if texts} == {}


def test_what_does_not_exist_is_noticed() -> None:
    text = "`hekla sreve`, `--wacth`, `hekla models lsit`\n"
    text += "```bash\necho 1 | hekla infer x - --jsn\nhekla serve -r m\n```\n"
    assert faults(text, "page.md") == [
        "`hekla` has no command sreve",
        "`hekla models` has no command lsit",
        "`hekla infer` has no option --jsn",
        "no command has the option --wacth",
    ]


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [
        path for path, command in commands() if not hasattr(command, "commands") and f"| `hekla {path}` |" not in readme
    ]
    assert missing == []
