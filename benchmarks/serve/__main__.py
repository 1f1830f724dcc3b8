"""`python -m benchmarks.serve`: measure servers side by side and print what came out."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.serve import machine
from benchmarks.serve.cases import CASES
from benchmarks.serve.exchange import PROTOCOLS
from benchmarks.serve.files import cases
from benchmarks.serve.results import Results
from benchmarks.serve.roster import SERVERS
from benchmarks.serve.scenarios import Failures, Plan, measure_overload, measure_startup, measure_throughput
from benchmarks.serve.tables import markdown, show

_SCENARIOS = ("throughput", "startup", "overload")
_FILE_WIDTH = 200  # columns, where no terminal says how many there are
_BEGIN, _END = "<!-- serve: begin -->", "<!-- serve: end -->"


def chosen(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """Return the names in a comma-separated list, or all known ones for "all". Errors: typer.BadParameter."""
    names = list(known) if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(known)}", param_hint=option)
    return names


def write_into(path: Path, text: str) -> None:
    """Put text between the two marks of a document. Errors: typer.BadParameter if it lacks them."""
    before, begin, rest = path.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise typer.BadParameter(f"{path} needs the lines {_BEGIN} and {_END}", param_hint="--into")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def main(
    servers: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(SERVERS)}; or all.")] = "all",
    models: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(CASES)}.")] = "all",
    protocols: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(PROTOCOLS)}.")] = "all",
    concurrency: Annotated[str, typer.Option(help="Clients, each with one request in flight.")] = "1,8,64",
    scenarios: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(_SCENARIOS)}.")] = "throughput",
    rounds: Annotated[int, typer.Option(min=1, help="How often each measurement is made; medians are shown.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each measurement runs.")] = 2.0,
    server_core: Annotated[int, typer.Option(help="The core servers run on.")] = 0,
    client_core: Annotated[int, typer.Option(help="The core the load generator runs on.")] = 1,
    overload_factor: Annotated[float, typer.Option(help="Offered load as a multiple of capacity.")] = 2.0,
    one_connection: Annotated[bool, typer.Option(help="gRPC: all calls on one connection.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here.")] = None,
    read: Annotated[Path | None, typer.Option(help="Measure nothing, show results written by --json.")] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    into: Annotated[Path | None, typer.Option(help="Write the Markdown between the marks of this document.")] = None,
) -> None:
    """Measure inference servers with the same models, requests and load generator.

    Peers live in environments of their own: python -m benchmarks.serve.environments makes them.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    if read is not None:
        results = Results.load(read)
    else:
        os.sched_setaffinity(0, {client_core})
        results = Results(machine.describe(), shlex.join(["python", "-m", "benchmarks.serve", *sys.argv[1:]]))
        plan = Plan(
            servers=[SERVERS[name] for name in chosen("--servers", servers, tuple(SERVERS))],
            cases=cases(chosen("--models", models, CASES)),
            protocols=[name for name in PROTOCOLS if name in chosen("--protocols", protocols, PROTOCOLS)],
            concurrency=[int(level) for level in concurrency.split(",")],
            rounds=rounds,
            seconds=seconds,
            server_core=server_core,
            shares_connection=one_connection,
        )
        measure(plan, chosen("--scenarios", scenarios, _SCENARIOS), overload_factor, results)
    if json_file is not None:
        results.save(json_file)
    if into is not None:
        write_into(into, markdown(results))
    if as_markdown:
        print(markdown(results))
    else:
        show(results, console)
    if results.failures:
        raise typer.Exit(1)


def measure(plan: Plan, scenarios: list[str], overload_factor: float, results: Results) -> None:
    """Run the scenarios asked for, telling on standard error what goes on."""
    failures = Failures()
    with Console(stderr=True).status("starting") as status:
        if "throughput" in scenarios:
            results.throughput = measure_throughput(plan, failures, status.update)
        if "startup" in scenarios:
            results.startup = measure_startup(plan, failures, status.update)
        if "overload" in scenarios:
            results.overload = measure_overload(plan, overload_factor, failures, status.update)
    results.failures = list(failures)


if __name__ == "__main__":
    typer.run(main)
