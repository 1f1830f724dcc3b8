"""What the databases came to, as tables in Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.vector.databases.database import FILTERS

TARGETS = (0.90, 0.95, 0.99)
Result = dict[str, Any]  # Any: JSON that run.py prints
UPSERTS = (
    "batch 1", "batch 100", "batch 1000", "8 writers, batch 1", "8 writers, batch 100", "pipelined, batch 1",
)  # fmt: skip


def rate_at(found: Sequence[Result], target: float) -> str:
    """Return the rate at a recall, between the two points around it."""
    best = [p for p in found if p["recall"] >= target]
    if not best:
        return "-"
    after = max(best, key=lambda p: p["qps"])
    before = max((p for p in found if p["recall"] < target), key=lambda p: p["recall"], default=None)
    if before is None or before["qps"] <= after["qps"]:
        return f"{after['qps']:,.0f}"
    part = (target - before["recall"]) / (after["recall"] - before["recall"])
    return f"{math.exp(math.log(before['qps']) * (1 - part) + math.log(after['qps']) * part):,.0f}"


def best_filtered(found: Sequence[Result]) -> str:
    """Return the fastest point with recall 0.98, else the one with the best recall."""
    good = [p for p in found if p["recall"] >= 0.98]
    one = max(good, key=lambda p: p["qps"]) if good else max(found, key=lambda p: p["recall"])
    return f"{one['qps']:,.0f} ({one['recall']:.3f})"


def chosen_knob(found: Sequence[Result], recall: float) -> int:
    """Return the first knob with this recall, else the one with the best."""
    good = [p for p in found if p["recall"] >= recall]
    return int((good[0] if good else max(found, key=lambda p: p["recall"]))["knob"])


def least(runs: Sequence[Result]) -> Result:
    """Return the least of each number, of runs that gave any."""
    good = [one for one in runs if "error" not in one]
    return {key: min(one[key] for one in good) for key in good[0]} if good else dict(runs[0])


def best_of(runs: Sequence[Result]) -> Result:
    """Return the faster of each point, of sweeps that ended."""
    good = [one for one in runs if "error" not in one]
    if not good:
        return dict(runs[0])
    best: Result = {}
    for key in good[0]:
        if key == "hybrid":
            best[key] = min((one[key] for one in good), key=lambda found: float(found["p50_us"]))
            continue
        points: dict[int, Result] = {}
        for point in (point for one in good for point in one[key]):
            known = points.get(point["knob"])
            points[point["knob"]] = point if known is None or point["qps"] > known["qps"] else known
        best[key] = list(points.values())
    return best


def tables(results: Mapping[str, Result]) -> str:
    """Return all tables, and what the databases were told."""
    parts = [
        table(
            ["database", "q/s at .90", ".95", ".99", "best recall", "filter 1 % (recall)", "filter 10 % (recall)",
             "hybrid us (of the exact ten)", "bytes/vector", "build CPU s", "build s"],
            [searches(name, result) for name, result in results.items()],
        ),
        table(
            ["database", "open / first / second question ms, warm", "cold", "private MB after opening", "and a search"],
            [opening(name, result) for name, result in results.items() if "warm" in result],
        ),
        table(
            ["database", *(f"points/s, {kind}" for kind in UPSERTS)],
            [upserts(name, result) for name, result in results.items() if "upserts" in result],
        ),
        table(
            ["database", "recall after", "operations/s", "upsert p99 us, first to last tenth", "search p99",
             "filtered p99", "private MB", "folder MB"],
            [mixed(name, result) for name, result in results.items() if "mixed" in result],
        ),
        *(tenths(name, result["mixed"]) for name, result in results.items() if is_long(result)),
    ]  # fmt: skip
    settings = "; ".join(
        f"{name}: {r['build']['settings']}" for name, r in results.items() if r["build"].get("settings")
    )
    return "\n\n".join([*filter(None, parts), f"Settings. {settings}."])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, "" without rows."""
    if not rows:
        return ""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def searches(name: str, result: Result) -> list[str]:
    """Return the cells of the table of searches."""
    build = result["build"]
    if "error" in build:
        return [name, build["error"]]
    sizes = [f"{build['bytes_per_vector']:.0f}", f"{build['build_cpu_s']:.0f}", f"{build['build_s']:.0f}"]
    found: Result = result.get("search", {"error": "not searched"})
    if "error" in found:
        return [name, found["error"], *[""] * 6, *sizes]
    hybrid = found.get("hybrid")
    joined = "" if hybrid is None else f"{hybrid['p50_us']:,.0f} ({hybrid['recall']:.2f})"
    top = max(p["recall"] for p in found["all"])
    filtered = [best_filtered(found[key]) for key in FILTERS]
    return [name, *(rate_at(found["all"], target) for target in TARGETS), f"{top:.3f}", *filtered, joined, *sizes]


def opening(name: str, result: Result) -> list[str]:
    """Return the cells of the table of openings."""
    cells = [name]
    for kind in ("warm", "cold"):
        one = result[kind]
        keys = ("open_ms", "first_ms", "second_ms")
        cells.append(one.get("error") or " / ".join(f"{one[key]:.1f}" for key in keys))
    private = [result["warm"].get(key, math.nan) for key in ("private_mb", "private_mb_after_search")]
    return [*cells, *(f"{value:.1f}" for value in private)]


def upserts(name: str, result: Result) -> list[str]:
    """Return the cells of the table of writes."""
    found = result["upserts"]
    if "error" in found:
        return [name, found["error"]]
    return [
        name,
        *(found.get(f"{kind}: why", "-") if found.get(kind) is None else f"{found[kind]:,.0f}" for kind in UPSERTS),
    ]


def mixed(name: str, result: Result) -> list[str]:
    """Return the cells of the table of the mixed load."""
    found = result["mixed"]
    if "error" in found:
        return [name, found["error"]]
    windows = found["windows"]
    keys = ("operations", "upsert_p99_us", "search_p99_us", "filtered_p99_us", "private_mb", "folder_mb")
    pairs = [[window.get(key, math.nan) for window in (windows[0], windows[-1])] for key in keys]
    pairs[0] = [count / found["window_s"] for count in pairs[0]]
    return [name, f"{found['recall_after']:.3f}", *(f"{first:,.0f} → {last:,.0f}" for first, last in pairs)]


def is_long(result: Result) -> bool:
    """True if the mixed load was long enough to look at each tenth."""
    found = result.get("mixed", {"error": ""})
    return "error" not in found and bool(found["window_s"] >= 30)


def tenths(name: str, found: Result) -> str:
    """Return the table of a long mixed load."""
    keys = ("operations", "upsert_p50_us", "upsert_p99_us", "search_p50_us", "search_p99_us", "filtered_p50_us",
            "filtered_p99_us", "private_mb", "folder_mb")  # fmt: skip
    rows = [[f"{at}", *(f"{window[key]:,.0f}" for key in keys)] for at, window in enumerate(found["windows"], 1)]
    return table([f"{name}, tenth", *keys], rows)
