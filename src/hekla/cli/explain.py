"""`hekla explain`: what became of a kernel or a record."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hekla.base.errors import ConfigError
from hekla.cli.screen import AsJson, write_json

explain_app = typer.Typer(name="explain", help="Show what became of a kernel or a @struct.", no_args_is_help=True)

What = Annotated[str, typer.Argument(metavar="FILE:NAME", help="A Python file and the kernel or record in it.")]
With = Annotated[
    list[str],
    typer.Option(
        "--with", metavar="NAME=VALUE", help="A compile-time parameter, or a type: T=f32.", default_factory=list
    ),
]
TargetName = Annotated[str, typer.Option("--target", help="The machine to make code for.")]


@explain_app.command("layout")
def layout(what: What, as_json: AsJson = False) -> None:
    """Show the fields of a @struct in memory: offsets, padding, cache lines, before and after reordering.

    Example: `hekla explain layout points.py:Point`
    """
    from hekla.lang.explain.layout import explain_layout
    from hekla.lang.files import struct_in

    _show(explain_layout(struct_in(*split_place(what))), as_json)


@explain_app.command("asm")
def asm(what: What, named: With, target: TargetName = "native", as_json: AsJson = False) -> None:
    """Show a kernel's machine code under the lines of source it comes from.

    Example: `hekla explain asm kernels.py:dot --target aarch64`
    """
    from hekla.lang.explain.assembly import explain_assembly

    _show(explain_assembly(_compiled(what, named, target)), as_json)


@explain_app.command("vectorize")
def vectorize(what: What, named: With, target: TargetName = "native", as_json: AsJson = False) -> None:
    """Show which loops became vector code, how wide, and why the others did not.

    Example: `hekla explain vectorize kernels.py:dot`
    """
    from hekla.lang.explain.vectors import explain_vectors

    _show(explain_vectors(_compiled(what, named, target)), as_json)


@explain_app.command("proof")
def proof(what: What, named: With, as_json: AsJson = False) -> None:
    """Show what was proved of the parallel loops and the locks of a kernel or an actor.

    Example: `hekla explain proof kernels.py:scale`
    """
    from hekla.lang.explain.proof import explain_proof
    from hekla.lang.files import kernel_or_actor_in

    _show(explain_proof(kernel_or_actor_in(*split_place(what)), **named_values(named)), as_json)


def _show(report: Any, as_json: bool) -> None:  # Any: one of the reports, dataclasses with `text`
    if as_json:
        write_json(json.loads(json.dumps(dataclasses.asdict(report), default=str)))
    else:
        typer.echo(report.text())


def split_place(what: str) -> tuple[Path, str]:
    """Return the file and the name of FILE:NAME. Errors: ConfigError."""
    file, _, name = what.rpartition(":")
    if not file or not name.isidentifier():
        raise ConfigError(f"{what!r} does not name a kernel", where="FILE:NAME", cure="for example kernels/dot.py:dot")
    return Path(file), name


def named_values(given: list[str]) -> dict[str, Any]:  # Any: types and numbers
    """Return compile-time values as given on the command line. Errors: ConfigError."""
    from hekla.lang.types import SCALARS

    values: dict[str, Any] = {}  # Any: see above
    for text in given:
        name, separator, value = text.partition("=")
        number = _number(value)
        if not separator or not name.isidentifier() or (value not in SCALARS and number is None):
            raise ConfigError(f"{text!r} is not NAME=VALUE", where="--with", cure="give a type or a number: T=f32")
        values[name] = SCALARS.get(value, number)
    return values


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _compiled(what: str, named: list[str], target: str) -> Any:  # Any: a Compiled; hekla.lang loads when asked for
    from hekla.lang.files import kernel_in
    from hekla.lang.products import code_target
    from hekla.lang.targets.known import target_named

    kernel = kernel_in(*split_place(what))
    return kernel.with_options(target=code_target(target_named(target))).compile(**named_values(named))
