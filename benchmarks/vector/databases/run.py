"""One task of one database, in its own process: run.py TASK DATABASE FOLDER POINTS.npz OPTIONS; a line of JSON out."""

import importlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from database import FILTERS, Array, Database

K = 10
Result = dict[str, Any]


def microseconds(run: Any) -> tuple[Any, float]:
    """Return what a function returns and the microseconds it took."""
    started = time.perf_counter_ns()
    value = run()
    return value, (time.perf_counter_ns() - started) / 1e3


def share(values: list[float], part: float) -> float:
    """Return the value that this part of them is below."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def private_mb() -> float:
    """Return megabytes of memory that are this process's alone."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def sweep(database: Database, queries: Array, nearest: Array, below: int | None, seconds: float) -> list[Result]:
    """Return recall and rate for each knob: a call a query, best of three rounds."""
    found_at: list[Result] = []
    for knob in database.knobs:
        took: list[float] = []
        hits, asked = 0, 0
        database.search(queries[0], K, knob, below)
        until = time.perf_counter() + seconds
        for query, right in zip(queries, nearest, strict=True):
            ids, us = microseconds(lambda q=query, knob=knob: database.search(q, K, knob, below))
            took.append(us)
            wanted = set(right[right >= 0].tolist())
            hits, asked = hits + len(wanted & set(ids)), asked + len(wanted)
            if time.perf_counter() > until:
                break
        p50 = share(took, 0.5)
        found_at.append(
            {"knob": knob, "recall": hits / asked, "qps": 1e6 / p50, "p50_us": p50, "p99_us": share(took, 0.99)}
        )
        if hits / asked > 0.998:
            break
    return found_at


def build(database: Database, folder: Path, points: Any, options: Result) -> Result:
    """Write all points and make searches fast."""
    vectors, numbers = points["rows"], points["numbers"]
    database.create(folder, vectors.shape[1])
    started, used = time.perf_counter(), time.process_time()
    for at in range(0, len(vectors), 10_000):
        database.upsert(at, vectors[at : at + 10_000], numbers[at : at + 10_000])
    database.build()
    took = {"build_s": time.perf_counter() - started, "build_cpu_s": time.process_time() - used}
    database.close()
    return {**took, "bytes_per_vector": folder_bytes(folder) / len(vectors)}


def opened(database: Database, folder: Path, points: Any, options: Result) -> Result:
    """Open in a fresh process, and ask one question."""
    query = points["queries"][0]
    before = private_mb()
    _, open_us = microseconds(lambda: database.open(folder))
    after = private_mb()
    _, first_us = microseconds(lambda: database.search(query, K, database.knobs[-1]))
    return {"open_ms": open_us / 1e3, "first_ms": first_us / 1e3, "private_mb": after - before}


def search(database: Database, folder: Path, points: Any, options: Result) -> Result:
    """Sweep the knob without a filter, and under each."""
    database.open(folder)
    queries = points["queries"]
    result: Result = {"all": sweep(database, queries, points["nearest"], None, options["seconds"])}
    for name, below in FILTERS.items():
        result[name] = sweep(database, queries, points[f"nearest {name}"], below, options["seconds"])
    if hasattr(database, "hybrid"):
        took = [microseconds(lambda q=q: database.hybrid(q, "word5 word7", K))[1] for q in queries[:200]]
        result["hybrid_us"] = share(took, 0.5)
    database.close()
    return result


def upserts(database: Database, folder: Path, points: Any, options: Result) -> Result:
    """Write batches of 1, 100 and 1000 over what is there."""
    database.open(folder)
    vectors, numbers = points["rows"], points["numbers"]
    rng = random.Random(1)
    result: Result = {}
    for size in (1, 100, 1000):
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < options["seconds"]:
            at = rng.randrange(len(vectors) - size)
            database.upsert(len(vectors) + at, vectors[at : at + size], numbers[at : at + size])
            done += size
        result[f"batch {size}"] = done / (time.perf_counter() - started)
    database.close()
    return result


def mixed(database: Database, folder: Path, points: Any, options: Result) -> Result:
    """70 % upserts of one point, 25 % searches, 5 % filtered ones; p99 and memory for each tenth of the time."""
    database.open(folder)
    vectors, numbers, queries = points["rows"], points["numbers"], points["queries"]
    rng = random.Random(2)
    knob = database.knobs[len(database.knobs) // 2]
    windows: list[Result] = []
    window_s = options["mixed_s"] / 10
    for _ in range(10):
        took: dict[str, list[float]] = {"upsert": [], "search": [], "filtered": []}
        until = time.perf_counter() + window_s
        while time.perf_counter() < until:
            chance, at = rng.random(), rng.randrange(len(vectors))
            query = queries[rng.randrange(len(queries))]
            if chance < 0.7:
                one, n = vectors[at : at + 1], numbers[at : at + 1]
                took["upsert"].append(microseconds(lambda a=at, v=one, n=n: database.upsert(max(a, 1), v, n))[1])
            elif chance < 0.95:
                took["search"].append(microseconds(lambda q=query: database.search(q, K, knob))[1])
            else:
                took["filtered"].append(microseconds(lambda q=query: database.search(q, K, knob, 100))[1])
        window: Result = {f"{name}_p99_us": share(us, 0.99) for name, us in took.items() if us}
        windows.append({**window, "operations": sum(map(len, took.values())), "private_mb": private_mb()})
    database.close()
    return {"windows": windows}


TASKS = {"build": build, "open": opened, "search": search, "upserts": upserts, "mixed": mixed}


def main() -> None:
    task, name, folder, points, options = sys.argv[1:]
    database: Database = importlib.import_module(f"on_{name.replace('-', '_')}").Database()
    with np.load(points) as file:
        given = dict(file)
    result = TASKS[task](database, Path(folder), given, json.loads(options))
    print(json.dumps(result), flush=True)
    os._exit(0)  # some keep threads that do not end


if __name__ == "__main__":
    main()
