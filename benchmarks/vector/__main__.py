"""python -m benchmarks.vector: our indexes beside their peers on one set, one process each, one after the other.

Each is built with --threads threads where it can, and searched with one and with --threads.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.vector import environments
from benchmarks.vector.sets import VectorSet, clustered, local_intrinsic_dimension, low_rank_unit, sentences

TARGETS = (0.90, 0.95, 0.99)
PEERS = ("symphonyqg", "symphonyqg8", "svs", "faiss_ivfpq", "faiss_hnsw", "faiss_hnsw_flat", "usearch", "hnswlib")
SETS = {"clustered": clustered, "unit": low_rank_unit, "sentences": sentences}

Points = Sequence[tuple[int, float, float]]  # (knob, recall, queries a second)


@dataclass(frozen=True, slots=True)
class Result:
    """What one index came to: `measure.report`, read again."""

    name: str
    settings: str
    build_cpu_s: float
    build_s: float
    bytes: float
    points: Mapping[int, Points]  # by threads


def read_result(line: str) -> Result:
    """Return the result that a process printed."""
    given = json.loads(line)
    points = {int(threads): [tuple(point) for point in found] for threads, found in given.pop("points").items()}
    return Result(points=points, **given)


def stored(name: str, rows: int) -> Path:
    """Return the file of a set, made once."""
    path = environments.cache() / f"{name}-{rows}.npz"
    if not path.exists():
        environments.cache().mkdir(parents=True, exist_ok=True)
        made = SETS[name](rows)
        unfinished = path.with_suffix(".new.npz")
        np.savez(unfinished, rows=made.rows, queries=made.queries, nearest=made.nearest)
        unfinished.rename(path)
    return path


def rate_at(points: Points, target: float) -> float | None:
    """Return the rate at a recall, between the two points around it (the rate's logarithm is taken as straight)."""
    best = [(recall, rate) for _, recall, rate in points if recall >= target]
    if not best:
        return None
    after = max(best, key=lambda point: point[1])
    under = [(recall, rate) for _, recall, rate in points if recall < target]
    before = max(under, default=None)
    if before is None or before[1] <= after[1]:
        return after[1]
    share = (target - before[0]) / (after[0] - before[0])
    return math.exp(math.log(before[1]) * (1 - share) + math.log(after[1]) * share)


def header(threads: Sequence[int]) -> str:
    """Return the table's first two lines."""
    rates = [f"{count} thread{'s' * (count > 1)}: q/s at {t:.2f}" for count in threads for t in TARGETS]
    cells = ["index", *rates, "most", "bytes", "build CPU s", "build s"]
    return f"| {' | '.join(cells)} |\n{'|---' * len(cells)}|"


def row(result: Result) -> str:
    """Return a line of the table."""
    rates = [rate_at(points, target) for points in result.points.values() for target in TARGETS]
    cells = ["-" if rate is None else f"{rate:,.0f}" for rate in rates]
    top = max(recall for points in result.points.values() for _, recall, _ in points)
    sizes = f"{top:.4f} | {result.bytes:.0f} | {result.build_cpu_s:.1f} | {result.build_s:.1f}"
    return f"| {result.name} | {' | '.join(cells)} | {sizes} |"


def measured(name: str, path: Path, threads: int) -> tuple[list[Result], str]:
    """Return the results of one process, and why it failed ("": it did not)."""
    peer = [str(environments.python()), str(environments.PEERS / "run.py"), name, str(path), str(threads)]
    ours = [sys.executable, "-m", "benchmarks.vector.ours", str(path), str(threads)]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HEKLA_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    command = ours if name == "ours" else peer
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    results = [read_result(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not done.returncode:
        return results, ""
    return results, (done.stderr.strip() or f"ended by signal {-done.returncode}").splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector", description=__doc__)
    parser.add_argument("--set", choices=SETS, default="clustered")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(("ours", *PEERS)), help="ours and peers, with commas")
    parser.add_argument("--points", action="store_true", help="print every point measured, recall beside each rate")
    parser.add_argument("--prepare", action="store_true", help="make the set and its exact answers, measure nothing")
    options = parser.parse_args()
    path = stored(options.set, options.rows)
    with np.load(path) as file:
        some = VectorSet(path.stem, file["rows"], file["queries"], file["nearest"])
    dimension = local_intrinsic_dimension(some)
    shape = f"{len(some.rows):,} x {some.rows.shape[1]}"
    del some
    print(f"{path.stem}: {shape}, local intrinsic dimension {dimension:.1f}, recall@10")
    if options.prepare:
        return
    started, settings = time.monotonic(), []
    print(f"\n{header(sorted({1, options.threads}))}")
    for name in options.only.split(","):
        results, failure = measured(name, path, options.threads)
        for result in results:
            print(row(result), flush=True)
            settings.append(f"{result.name}: {result.settings}")
            for threads, points in result.points.items() if options.points else ():
                for knob, recall, rate in points:
                    print(f"    {threads} thread(s), {knob}: recall {recall:.4f}, {rate:,.0f} a second")
        if failure:
            print(f"| {name} failed: {failure[:160]} |", flush=True)
    print("\nSettings. " + "; ".join(dict.fromkeys(settings)) + f". {time.monotonic() - started:.0f} s in all.")


if __name__ == "__main__":
    main()
