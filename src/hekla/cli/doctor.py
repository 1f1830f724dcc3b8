"""`hekla doctor`: what this machine has, and what would stop a server from starting."""

from pathlib import Path
from typing import Annotated

import typer

from hekla.cli.exit_status import Exit
from hekla.cli.options import SAMPLES
from hekla.cli.screen import AsJson, console, write_json


def doctor(
    repository: Annotated[Path, typer.Option("--repository", "-r", help="The models to look at.")] = SAMPLES,
    http_port: Annotated[int, typer.Option("--http-port", min=1, max=65535, help="Must be free.")] = 8000,
    grpc_port: Annotated[int, typer.Option("--grpc-port", min=1, max=65535, help="Must be free.")] = 8001,
    as_json: AsJson = False,
) -> None:
    """Check the CPU, memory, ports, packages and models of this machine.

    Every line is `ok`, `note` (slower, or a part is missing) or `fail` (a server would not start); with a `fail` the
    exit status is 1.

    Example: `hekla doctor --repository my-models`
    """
    from hekla.cli.checks import run_checks

    findings = run_checks(repository, (("http", http_port), ("grpc", grpc_port)))
    if as_json:
        write_json([{"check": f.check, "state": f.state, "found": f.found, "cure": f.cure} for f in findings])
    else:
        from rich.markup import escape

        colours = {"ok": "green", "note": "yellow", "fail": "red"}
        out = console()
        for finding in findings:
            cure = f"; {finding.cure}" if finding.cure else ""
            colour = colours[finding.state]
            out.print(f"[{colour}]{finding.state:4}[/{colour}]  {finding.check:9} {escape(finding.found + cure)}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(Exit.FAILED)
