"""The tables of DESIGN.md and README.md say what the code says."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from hekla.base.errors import HeklaError
from hekla.serve.status import status_of

ROOT = Path(__file__).parents[2]
DESIGN = (ROOT / "DESIGN.md").read_text()
README = (ROOT / "README.md").read_text()
LAYERS: dict[str, list[str]] = tomllib.loads((ROOT / "layers.toml").read_text())


def rows(page: str, first: str) -> list[list[str]]:
    """Return the rows, without the head, of the table whose head begins with `first`."""
    _, _, table = page.partition(f"\n| {first} |")
    lines = table.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def layer_rows(page: str) -> dict[str, list[str]]:
    return {row[0]: [] if row[1] == "(none)" else row[1].split(", ") for row in rows(page, "package")}


def error_classes(above: type[HeklaError] = HeklaError) -> Iterator[type[HeklaError]]:
    for kind in above.__subclasses__():
        if kind.__module__ == HeklaError.__module__:
            yield kind
            yield from error_classes(kind)


def told(kind: type[HeklaError]) -> tuple[str, str]:
    status = status_of(kind.__new__(kind))
    return str(status.http), status.grpc


def test_the_design_has_the_layer_table() -> None:
    assert layer_rows(DESIGN) == LAYERS


def test_a_row_that_differs_is_noticed() -> None:
    planted = DESIGN.replace("| samples | base |", "| samples | base, serve |")
    assert layer_rows(planted)["samples"] == ["base", "serve"] != LAYERS["samples"]


def test_the_design_has_the_status_table() -> None:
    shown = {row[0]: (row[1], row[2]) for row in rows(DESIGN, "error")}
    assert shown == {kind.__name__: told(kind) for kind in error_classes()}


def test_the_readme_has_a_row_for_every_package() -> None:
    shown = {re.sub(r"`src/hekla/(\w+)`", r"\1", row[0]): row[-1] for row in rows(README, "package")}
    assert set(shown) == {*LAYERS, "cli"}
    for package in set(LAYERS) - {"base"}:
        assert shown[package].split(", ") == LAYERS[package]
