"""Results as tables: for a terminal through rich, for a document as Markdown. The same rows in both."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.serve.results import Overload, Results, Startup, Summary, Throughput, summarise

_OURS, _FLOOR = "hekla", "floor"
_PROTOCOLS = {"json": "REST JSON", "binary": "REST binary", "grpc": "gRPC"}

Key = tuple[str, str, int]  # model, protocol, concurrency


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, column names, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(results: Results) -> list[Table]:
    """Return everything a run has to show."""
    shown: list[Table] = []
    if results.throughput:
        summaries = _summaries(results.throughput)
        shown += [_versus(summaries)] if any(server == _OURS for server, _ in summaries) else []
        shown += _throughput(summaries)
    if results.startup:
        shown.append(_startup(results.startup))
    if results.overload:
        shown.append(_overload(results.overload))
    return shown


def _summaries(rows: Iterable[Throughput]) -> dict[tuple[str, Key], Summary]:
    rounds: dict[tuple[str, Key], list[Throughput]] = {}
    for row in rows:
        rounds.setdefault((row.server, (row.model, row.protocol, row.concurrency)), []).append(row)
    return {key: summarise(group) for key, group in rounds.items()}


def _best_peer(summaries: dict[tuple[str, Key], Summary], key: Key, *, but: str = "") -> tuple[str, Summary] | None:
    peers = [
        (server, summary)
        for (server, other), summary in summaries.items()
        if other == key and server not in {_OURS, _FLOOR, but}
    ]
    return max(peers, key=lambda peer: peer[1].per_second, default=None)


def _versus(summaries: dict[tuple[str, Key], Summary]) -> Table:
    """Hekla against the best peer and against the floor."""
    rows: list[tuple[str, ...]] = []
    for (server, key), ours in summaries.items():
        if server != _OURS:
            continue
        best = _best_peer(summaries, key)
        floor = summaries.get((_FLOOR, key))
        rows.append(
            (
                key[0],
                _PROTOCOLS[key[1]],
                str(key[2]),
                _rate(ours),
                f"{best[0]}: {_rate(best[1])}" if best else "-",
                f"{ours.per_second / best[1].per_second:.2f}" if best else "-",
                f"{ours.p50_ms / best[1].p50_ms:.2f}" if best else "-",
                f"{ours.p99_ms / best[1].p99_ms:.2f}" if best else "-",
                f"{ours.per_second / floor.per_second:.0%}" if floor and floor.per_second else "-",
            )
        )
    columns = ("model", "protocol", "clients", "Hekla req/s", "best peer", "x rate", "x p50", "x p99", "of the floor")
    return Table("Hekla against the best peer (rate: more is better; p50, p99: less is better)", columns, tuple(rows))


def _throughput(summaries: dict[tuple[str, Key], Summary]) -> list[Table]:
    groups: dict[tuple[str, str], set[int]] = {}
    for _, (model, protocol, concurrency) in summaries:
        groups.setdefault((model, protocol), set()).add(concurrency)
    shown = []
    for (model, protocol), levels in groups.items():
        columns = ["server"]
        for level in sorted(levels):
            columns += [f"{level}: req/s", "p50 / p99 ms"]
        columns += ["CPU us/req", "spread", "errors"]
        servers = dict.fromkeys(server for server, key in summaries if key[:2] == (model, protocol))
        rows = []
        for server in servers:
            cells = [server]
            last = None
            for level in sorted(levels):
                last = summaries.get((server, (model, protocol, level)), last)
                one = summaries.get((server, (model, protocol, level)))
                cells += [_rate(one), f"{_ms(one.p50_ms)} / {_ms(one.p99_ms)}"] if one else ["-", "-"]
            mine = [
                summary for (name, key), summary in summaries.items() if name == server and key[:2] == (model, protocol)
            ]
            cells += [
                f"{last.cpu_us:.0f}" if last else "-",
                f"{max(one.spread for one in mine):.0%}",
                str(sum(one.errors for one in mine)),
            ]
            rows.append(tuple(cells))
        shown.append(Table(f"{model}, {_PROTOCOLS[protocol]}", tuple(columns), tuple(rows)))
    return shown


def _startup(rows: Sequence[Startup]) -> Table:
    shown = []
    for server in dict.fromkeys(row.server for row in rows):
        mine = [row for row in rows if row.server == server]
        shown.append(
            (
                server,
                f"{statistics.median(row.ready_s for row in mine):.2f}",
                f"{statistics.median(row.idle_pss_mb for row in mine):.0f}",
                f"{statistics.median(row.idle_rss_mb for row in mine):.0f}",
                f"{statistics.median(row.idle_private_mb for row in mine):.0f}",
                f"{statistics.median(row.loaded_pss_mb for row in mine):.0f}",
            )
        )
    columns = ("server", "ready s", "idle PSS MB", "idle RSS MB", "idle private MB", "PSS MB after load")
    return Table(f"Start with {rows[0].models} models, memory of all its processes", columns, tuple(shown))


def _overload(rows: Sequence[Overload]) -> Table:
    shown = tuple(
        (
            row.server,
            f"{row.model}, {_PROTOCOLS[row.protocol]}",
            f"{row.capacity_per_second:.0f}",
            f"{row.offered_per_second:.0f}",
            f"{row.accepted_per_second:.0f}",
            f"{_ms(row.accepted_p50_ms)} / {_ms(row.accepted_p99_ms)}",
            _ms(row.half_load_p99_ms),
            f"{row.refused_per_second:.0f}",
            f"{_ms(row.refused_p50_ms)} / {_ms(row.refused_p99_ms)}",
            f"{row.failed_per_second:.0f}",
            f"{row.unsent_per_second:.0f}",
        )
        for row in rows
    )
    columns = (
        "server",
        "model",
        "capacity/s",
        "offered/s",
        "accepted/s",
        "p50 / p99 ms",
        "p99 ms at half load",
        "refused/s",
        "refusal p50 / p99 ms",
        "failed/s",
        "not even sent/s",
    )
    return Table("Overload: an open loop at twice the capacity", columns, shown)


def _rate(summary: Summary) -> str:
    # An asterisk: the load generator was nearly busy, the server may be faster than this.
    return f"{summary.per_second:.0f}{'*' if summary.client_load > 0.9 else ''}"


def _ms(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def show(results: Results, console: Console) -> None:
    """Print everything for a person at a terminal."""
    for name, value in results.machine.items():
        console.print(f"[dim]{name}: {value}[/dim]", highlight=False)
    for table in tables(results):
        drawn = RichTable(title=table.title, title_justify="left")
        for index, column in enumerate(table.columns):
            drawn.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
        for row in table.rows:
            drawn.add_row(*row, style="bold" if row[0] == _OURS else None)
        console.print(drawn)
    for failure in results.failures:
        console.print(f"not measured: {failure.splitlines()[0]}", style="yellow", highlight=False)


def markdown(results: Results) -> str:
    """Return everything as Markdown."""
    machine = "; ".join(f"{name} {value}" for name, value in results.machine.items())
    parts = [f"Machine: {machine}.", f"Command: `{results.command}`."]
    for table in tables(results):
        lines = [f"### {table.title}", ""]
        lines.append(_markdown_row(table.columns))
        lines.append("|" + "---|" * len(table.columns))
        lines += [_markdown_row(row) for row in table.rows]
        parts.append("\n".join(lines))
    if results.failures:
        parts.append("\n".join(f"- Not measured: {failure.splitlines()[0]}" for failure in results.failures))
    return "\n\n".join(parts) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
