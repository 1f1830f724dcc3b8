"""`--option KEY=VALUE`: what `[engine]` of a model.toml would say."""

from collections.abc import Sequence
from typing import Annotated

import typer

EngineOption = Annotated[
    list[str],
    typer.Option("--option", metavar="KEY=VALUE", help="As in [engine] of a model.toml.", default_factory=list),
]


def engine_options(given: Sequence[str]) -> dict[str, object]:
    """Return keys with their values, whole numbers as such. Errors: typer.BadParameter for what is no KEY=VALUE."""
    return dict(_pair(text) for text in given)


def _pair(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"expected KEY=VALUE, got {text!r}")
    return key, int(value) if value.isdigit() else value
