"""python -m benchmarks.vector: our indexes beside their peers on one seeded set, one process each, one after the
other.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.vector import environments
from benchmarks.vector.sets import VectorSet, clustered, local_intrinsic_dimension, low_rank_unit

TARGETS = (0.90, 0.95, 0.99)
PEERS = ("symphonyqg", "symphonyqg8", "svs", "faiss_ivfpq", "faiss_hnsw", "usearch", "hnswlib")
SETS = {"clustered": clustered, "unit": low_rank_unit}

Result = dict[str, object]


def stored(name: str, rows: int) -> Path:
    """Return the file of a set, made once."""
    path = environments.cache() / f"{name}-{rows}.npz"
    if not path.exists():
        environments.cache().mkdir(parents=True, exist_ok=True)
        made = SETS[name](rows)
        np.savez(path, rows=made.rows, queries=made.queries, nearest=made.nearest)
    return path


def rate_at(points: list[list[float]], target: float, column: int) -> float | None:
    """Return the rate at a recall, between the two points around it (the rate's logarithm is taken as straight)."""
    best = [p for p in points if p[1] >= target]
    if not best:
        return None
    after = max(best, key=lambda p: p[column])
    before = max((p for p in points if p[1] < target), key=lambda p: p[1], default=None)
    if before is None or before[column] <= after[column]:
        return after[column]
    share = (target - before[1]) / (after[1] - before[1])
    return math.exp(math.log(before[column]) * (1 - share) + math.log(after[column]) * share)


def row(result: Result, column: int) -> str:
    """Return a line of the table."""
    points = result["points"]
    assert isinstance(points, list)
    rates = " | ".join("-" if (r := rate_at(points, t, column)) is None else f"{r:,.0f}" for t in TARGETS)
    top = max(p[1] for p in points)
    return f"| {result['name']} | {rates} | {top:.4f} | {result['bytes']:.0f} | {result['build_cpu_s']:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector", description=__doc__)
    parser.add_argument("--set", choices=SETS, default="clustered")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default=",".join(("ours", *PEERS)), help="ours and peers, with commas")
    parser.add_argument("--points", action="store_true", help="print every point measured, recall beside each rate")
    options = parser.parse_args()
    path = stored(options.set, options.rows)
    with np.load(path) as file:
        some = VectorSet(path.stem, file["rows"], file["queries"], file["nearest"])
        dimension = local_intrinsic_dimension(some)
    threads = str(options.threads)
    print(f"{path.stem}: local intrinsic dimension {dimension:.1f}, {threads} thread(s), recall@10")
    print("| index | " + " | ".join(f"q/s at {t:.2f}" for t in TARGETS) + " | most | bytes | build CPU s |")
    print("|---|" + "---|" * (len(TARGETS) + 3))
    for name in options.only.split(","):
        peer = [str(environments.python()), str(environments.PEERS / "run.py"), name, str(path), threads]
        command = [sys.executable, "-m", "benchmarks.vector.ours", str(path), threads] if name == "ours" else peer
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HEKLA_THREADS"), threads),
        }
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            print(f"| {name} failed: {done.stderr.strip().splitlines()[-1]} |")
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                result: Result = json.loads(line)
                print(row(result, 2 if options.threads == 1 else 3), flush=True)
                if options.points:
                    for knob, recall, cpu, clock in result["points"]:  # type: ignore[attr-defined]  # a list of JSON
                        print(f"    {knob}: recall {recall:.4f}, {cpu:,.0f} per CPU second, {clock:,.0f} per second")


if __name__ == "__main__":
    main()
