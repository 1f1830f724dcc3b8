"""python -m benchmarks.vector.database: Hekla beside other embedded databases, each in its own process and environment.

First `python -m benchmarks.vector.database_environments`. Tables in Markdown on standard output, all numbers as JSON
with --json FILE. Every rate has its recall beside it; the questions are the same, a call each.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.vector import database_environments as environments
from benchmarks.vector.databases.database import FILTERS
from benchmarks.vector.sets import clustered

RUN = Path(__file__).parent / "databases" / "run.py"
NAMES = ("hekla", *environments.PINS)
TARGETS = (0.90, 0.95, 0.99)
Result = dict[str, Any]  # Any: JSON that run.py prints


def points_file(rows: int) -> Path:
    """Return the file of points, their numbers, questions and exact answers, made once."""
    path = environments.cache() / f"points-{rows}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = clustered(rows)
        numbers = np.random.default_rng(7).integers(0, 1000, rows)
        answers = {f"nearest {name}": _nearest(made.rows, made.queries, numbers < b) for name, b in FILTERS.items()}
        # A dictionary: the names have spaces.
        given: Any = {
            "rows": made.rows,
            "queries": made.queries,
            "nearest": made.nearest,
            "numbers": numbers,
            **answers,
        }
        np.savez(path, **given)
    return path


def _nearest(rows: Any, queries: Any, is_allowed: Any) -> Any:  # Any: arrays
    """Return the 10 nearest of the allowed rows, exactly: (q, 10), -1 where there are fewer."""
    allowed = np.flatnonzero(is_allowed)
    table = rows[allowed]
    squares = np.einsum("nd,nd->n", table, table)
    found = np.full((len(queries), 10), -1, np.int64)
    for i, query in enumerate(queries):
        best = np.argsort(squares - 2 * (table @ query), kind="stable")[:10]
        found[i, : len(best)] = allowed[best]
    return found


def run(task: str, name: str, folder: Path, points: Path, options: Result, timeout_s: float) -> Result:
    """Return what a task gave; {"error": ...} where it failed."""
    interpreter = Path(sys.executable) if name == "hekla" else environments.python(name)
    command: list[str | Path] = [interpreter, RUN, task, name, folder, points, json.dumps(options)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": str(RUN.parents[3] / "src")}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {timeout_s:.0f} s"}
    if done.returncode or not done.stdout.strip():
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        return {"error": last[:160]}
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def evict(folder: Path) -> None:
    """Drop a folder's files from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


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


def least(runs: Sequence[Result]) -> Result:
    """Return the least of each number, of runs that gave any."""
    good = [one for one in runs if "error" not in one]
    return {key: min(one[key] for one in good) for key in good[0]} if good else dict(runs[0])


def measure(name: str, folder: Path, points: Path, options: Result) -> Result:
    """Return everything of one database."""
    result: Result = {"build": run("build", name, folder, points, options, 3600)}
    if "error" in result["build"]:
        return result
    warm = [run("open", name, folder, points, options, 120) for _ in range(5)]
    cold = []
    for _ in range(3):
        evict(folder)
        cold.append(run("open", name, folder, points, options, 120))
    result["warm"], result["cold"] = least(warm), least(cold)
    result["search"] = run("search", name, folder, points, options, 3600)
    for task in ("upserts", "mixed"):
        result[task] = run(task, name, folder, points, options, 300 + options["mixed_s"])
    return result


def searches(name: str, result: Result) -> str:
    """Return a line of the table of searches."""
    found: Result = result["search"] if "search" in result else result["build"]
    if "error" in found:
        return f"| {name} | {found['error']} |"
    rates = " | ".join(rate_at(found["all"], target) for target in TARGETS)
    top = max(p["recall"] for p in found["all"])
    filtered = " | ".join(best_filtered(found[key]) for key in FILTERS)
    hybrid = f"{found['hybrid_us']:.0f}" if "hybrid_us" in found else ""
    build = result["build"]
    sizes = f"{build['bytes_per_vector']:.0f} | {build['build_cpu_s']:.0f}"
    return f"| {name} | {rates} | {top:.3f} | {filtered} | {hybrid} | {sizes} |"


def rest(name: str, result: Result) -> str:
    """Return a line of the table of everything else."""
    parts = [
        f"{result[k].get('open_ms', math.nan):.1f} / {result[k].get('first_ms', math.nan):.1f}"
        for k in ("warm", "cold")
    ]
    parts.append(f"{result['warm'].get('private_mb', math.nan):.1f}")
    upserts = result["upserts"]
    parts += [f"{upserts[f'batch {n}']:,.0f}" if "error" not in upserts else "-" for n in (1, 100, 1000)]
    windows = result["mixed"].get("windows", [])
    for key in ("upsert_p99_us", "search_p99_us", "filtered_p99_us", "private_mb"):
        values = [w[key] for w in windows if key in w]
        parts.append(f"{values[0]:,.0f} → {values[-1]:,.0f}" if values else "-")
    return f"| {name} | {' | '.join(parts)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector.database", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--only", default=",".join(NAMES), help="names, with commas")
    parser.add_argument("--seconds", type=float, default=5, help="at most, for each point of a curve and kind of batch")
    parser.add_argument("--mixed", type=float, default=30, help="seconds of the mixed load; 1800 for the full run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    points = points_file(options.rows)
    given = {"seconds": options.seconds, "mixed_s": options.mixed}
    results: dict[str, Result] = {}
    for name in options.only.split(","):
        folder = environments.cache() / "data" / name
        shutil.rmtree(folder, ignore_errors=True)
        results[name] = measure(name, folder, points, given)
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{name}: done", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    print(f"{options.rows} x 128, a call a query, queries a second at recall@10; filtered: (recall); hybrid: us\n")
    print(
        "| database | .90 | .95 | .99 | best recall | filter 1 % | filter 10 % | hybrid | bytes/vector | build CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(searches(name, result) for name, result in results.items()))
    print("\n| database | open / first query ms, warm | cold | private MB | upserts/s by 1 | 100 | 1000 ", end="")
    print("| mixed: upsert p99 us | search | filtered | private MB |\n|---|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rest(name, result) for name, result in results.items() if "mixed" in result))


if __name__ == "__main__":
    main()
