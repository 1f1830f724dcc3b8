"""What commands write: tables and lines for people, one JSON document for programs.

Colours appear on a terminal only, and never with NO_COLOR set.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.base.errors import HeklaError

if TYPE_CHECKING:
    from rich.console import Console

_JSON = "hekla.json"
_PIPE_COLUMNS = 1000


def _remember(context: typer.Context, as_json: bool) -> bool:
    context.find_root().meta[_JSON] = as_json  # so that errors come out as JSON too
    return as_json


AsJson = Annotated[bool, typer.Option("--json", callback=_remember, help="Write one JSON document, for programs.")]


def console() -> "Console":
    """Return rich's console on standard output. Rich is imported here, so that `hekla serve` starts without it."""
    from rich.console import Console

    # In a pipe nothing is folded: a line stays a line.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_COLUMNS
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=width)


def write_json(document: object) -> None:
    """Write one JSON document: indented on a terminal, on one line otherwise."""
    typer.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with a line per row; columns that end in a space are numbers and align right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.strip(), justify="right" if column.endswith(" ") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console().print(table)


def printable(text: str) -> str:
    """Return a model's text without what would command the terminal."""
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and not 127 <= ord(c) < 160))


def write_error(context: typer.Context, error: HeklaError, *, name: str) -> None:
    """Write an error in red, in one line but for source it shows; as JSON where --json was given; to standard error."""
    if context.find_root().meta.get(_JSON):
        document = {"error": error.message, "kind": name, "where": error.where, "cure": error.cure}
        typer.echo(json.dumps(document, ensure_ascii=False), err=True)
        return
    text = str(error) if error.shows_source else " ".join(str(error).split())
    typer.echo(typer.style(f"error: {text}", fg=typer.colors.RED) if _may_colour() else f"error: {text}", err=True)


def _may_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
