"""`hekla build`: a kernel as an object, a library, a program or an image, for any target."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.base.errors import ConfigError, nearest_name
from hekla.cli.explain import With, named_values
from hekla.cli.screen import AsJson, write_json

if TYPE_CHECKING:  # hekla.lang loads when it is asked for
    from hekla.lang.kernel import Kernel

KINDS = ("object", "shared", "executable", "flat", "image")


def build(
    what: Annotated[str, typer.Argument(metavar="FILE[:NAME]", help="A Python file, and the kernel in it.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the product.")],
    named: With,
    target: Annotated[str, typer.Option("--target", help="The machine to make it for.")] = "native",
    kind: Annotated[str, typer.Option("--kind", help=f"One of {', '.join(KINDS)}.")] = "executable",
    header: Annotated[
        Path | None, typer.Option("--header", help="Where to write a C header of an object or a shared object.")
    ] = None,
    checked: Annotated[
        bool, typer.Option("--checked", help="With bounds and overflow checks, and checks of what C callers promise.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a kernel. NAME may be left out where the file has one kernel, or one named `main`.

    A program prints with print(...), and takes its arguments as one View[u8, 1].

    Example: `hekla build kernels.py:dot --target aarch64 --kind shared --header dot.h -o dot.so`
    """
    from hekla.lang.products import build_product, header_of

    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is no kind of product", where="--kind", cure=nearest_name(kind, KINDS))
    kernel = _kernel(what)
    if header is not None and kind not in ("object", "shared"):
        raise ConfigError(f"a product of kind {kind} is not called from C", where="--header", cure="leave it out")
    values = named_values(list(named))
    # mypy cannot see that KINDS are the values of the literal type
    made = build_product(
        kernel,
        target=target,
        kind=kind,  # type: ignore[arg-type]  # see above
        output=output,
        checked=checked,
        named=values,
    )
    if header is not None:
        header.write_text(header_of(kernel, target=target, checked=checked, named=values))
    if as_json:
        sizes = {"bytes": len(made.content), "flash_bytes": made.flash_bytes, "ram_bytes": made.ram_bytes}
        write_json({"output": str(output), **sizes})
        return
    typer.echo(f"{output}: {len(made.content)} bytes; {made.flash_bytes} stored, {made.ram_bytes} written to")


def _kernel(what: str) -> "Kernel":
    from hekla.lang.files import kernel_in, kernels_in

    file, _, name = what.rpartition(":")
    if file and name.isidentifier():
        return kernel_in(Path(file), name)
    found = kernels_in(Path(what))
    if "main" in found or len(found) == 1:
        return found.get("main") or next(iter(found.values()))
    known = ", ".join(sorted(found)) or "none"
    raise ConfigError(f"which kernel of {what}?", where="FILE[:NAME]", cure=f"write {what}:NAME; it has {known}")
