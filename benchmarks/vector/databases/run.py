"""One task of one database, in its own process: run.py TASK DATABASE FOLDER POINTS.npz OPTIONS; a line of JSON out.

A call that does not return within `hang_s` ends the process; where it was stands on standard error.
"""

import faulthandler
import importlib
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from database import FILTERS, Array, Database

K = 10
HYBRID_QUERIES = 200
WRITERS = 8
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
    """Return megabytes of memory that are this process's alone and no file's: they cannot be dropped."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


class Points:
    """The points, their payloads and the questions, as lists of what a call takes."""

    def __init__(self, path: str) -> None:
        with np.load(path) as file:
            self.arrays = dict(file)
        self.vectors, self.queries = self.arrays.get("rows"), self.arrays["queries"]
        self.numbers = self.arrays.get("numbers")
        self.texts = [text.decode() for text in self.arrays["texts"].tolist()] if "texts" in self.arrays else []
        self.words = [text.decode() for text in self.arrays["words"].tolist()] if "words" in self.arrays else []

    def of(self, at: int, count: int) -> tuple[Array, Array, list[str]]:
        """Return vectors, numbers and texts of a run of points."""
        some = slice(at, at + count)
        return self.vectors[some], self.numbers[some], self.texts[some]


class Watch:
    """Ends the process where a call does not return."""

    def __init__(self, hang_s: float) -> None:
        self.hang_s, self.armed = hang_s, 0.0

    def alive(self) -> None:
        """Say that something has returned; once a second is enough."""
        now = time.monotonic()
        if now - self.armed > 1:
            self.armed = now
            faulthandler.dump_traceback_later(self.hang_s, exit=True)


def sweep(
    database: Database, points: Points, answers: str, below: int | None, options: Result, watch: Watch
) -> list[Result]:
    """Return recall and rate for each knob: a call a query."""
    found_at: list[Result] = []
    nearest = points.arrays[answers]
    for knob in database.knobs:
        took: list[float] = []
        hits, asked = 0, 0
        database.search(points.queries[0], K, knob, below)
        until = time.perf_counter() + options["seconds"]
        for query, right in zip(points.queries, nearest, strict=True):
            ids, us = microseconds(lambda q=query, knob=knob: database.search(q, K, knob, below))
            watch.alive()
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


def build(database: Database, folder: Path, points: Points, options: Result, watch: Watch) -> Result:
    """Write all points and make searches fast."""
    watch.hang_s = 600
    watch.alive()
    database.create(folder, points.vectors.shape[1])
    started, used = time.perf_counter(), time.process_time()
    for at in range(0, len(points.vectors), 10_000):
        database.upsert(at, *points.of(at, 10_000))
        watch.alive()
    database.build()
    took = {"build_s": time.perf_counter() - started, "build_cpu_s": time.process_time() - used}
    database.close()
    size = folder_bytes(folder) / len(points.vectors)
    return {**took, "bytes_per_vector": size, "settings": getattr(database, "settings", "")}


def opened(database: Database, folder: Path, points: Points, options: Result, watch: Watch) -> Result:
    """Open in a fresh process, and ask one question."""
    query = points.queries[0]
    watch.alive()
    before = private_mb()
    _, open_us = microseconds(lambda: database.open(folder))
    after = private_mb()
    _, first_us = microseconds(lambda: database.search(query, K, options["knob"]))
    _, second_us = microseconds(lambda: database.search(query, K, options["knob"]))
    return {
        "open_ms": open_us / 1e3,
        "first_ms": first_us / 1e3,
        "second_ms": second_us / 1e3,
        "private_mb": after - before,
        "private_mb_after_search": private_mb() - before,
    }


def search(database: Database, folder: Path, points: Points, options: Result, watch: Watch) -> Result:
    """Sweep the knob without a filter, and under each; then the hybrid search."""
    watch.alive()
    database.open(folder)
    result: Result = {"all": sweep(database, points, "nearest", None, options, watch)}
    for name, below in FILTERS.items():
        result[name] = sweep(database, points, f"nearest {name}", below, options, watch)
    if hasattr(database, "hybrid"):
        result["hybrid"] = hybrid(database, points, chosen_knob(result["all"], 0.98), options, watch)
    database.close()
    return result


def chosen_knob(found: list[Result], recall: float) -> int:
    """Return the first knob with this recall, else the one with the best."""
    good = [point for point in found if point["recall"] >= recall]
    return int((good[0] if good else max(found, key=lambda point: point["recall"]))["knob"])


def hybrid(
    database: Any, points: Points, knob: int, options: Result, watch: Watch
) -> Result:  # Any: a Database and Hybrid
    """Return how long a hybrid search takes, and how much of what is exact it finds."""
    took: list[float] = []
    hits = asked = 0
    until = time.perf_counter() + 4 * options["seconds"]
    for query, words, right in zip(points.queries, points.words, points.arrays["hybrid"], strict=False):
        ids, us = microseconds(lambda q=query, words=words: database.hybrid(q, words, K, knob))
        watch.alive()
        took.append(us)
        hits, asked = hits + len(set(right.tolist()) & set(ids)), asked + len(right)
        if len(took) == HYBRID_QUERIES or time.perf_counter() > until:
            break
    return {"p50_us": share(took, 0.5), "p99_us": share(took, 0.99), "recall": hits / asked, "knob": knob}


def upserts(database: Database, folder: Path, points: Points, options: Result, watch: Watch) -> Result:
    """Write batches of 1, 100 and 1000 beside what is there: one writer, several, and without waiting for each."""
    watch.alive()
    database.open(folder)
    result: Result = {}
    for size in (1, 100, 1000):
        result[f"batch {size}"] = written(database, points, size, 0, options["seconds"], watch)
    for size in (1, 100):
        name = f"{WRITERS} writers, batch {size}"
        try:
            result[name] = several(database, points, size, options["seconds"], watch)
        except Exception as error:  # noqa: BLE001  # what a library raises that takes no two writers
            result[name] = None
            result[f"{name}: why"] = f"{type(error).__name__}: {error}"[:160]
    if hasattr(database, "upsert_later"):
        result["pipelined, batch 1"] = pipelined(database, points, options["seconds"], watch)
    database.close()
    return result


def written(database: Database, points: Points, size: int, writer: int, seconds: float, watch: Watch) -> float:
    """Return the points a second that one writer writes, each batch acknowledged before the next."""
    rng = random.Random(writer)
    count = len(points.vectors)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        at = rng.randrange(count - size)
        database.upsert((writer + 1) * count + at, *points.of(at, size))
        watch.alive()
        done += size
    return done / (time.perf_counter() - started)


def several(database: Database, points: Points, size: int, seconds: float, watch: Watch) -> float:
    """Return the points a second that several writers write together. Errors: what the first to fail raised."""
    rates: list[float] = []
    failures: list[Exception] = []

    def write(writer: int) -> None:
        try:
            rates.append(written(database, points, size, writer, seconds, watch))
        except Exception as error:  # noqa: BLE001  # a thread's boundary: raised by `several`
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(rates)


def pipelined(database: Any, points: Points, seconds: float, watch: Watch) -> float:  # Any: a Database and Pipelined
    """Return the points a second that one writer writes, batches of one, 256 of them not yet acknowledged."""
    rng = random.Random(9)
    count = len(points.vectors)
    under_way: list[Any] = []
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        at = rng.randrange(count - 1)
        under_way.append(database.upsert_later(10 * count + at, *points.of(at, 1)))
        if len(under_way) == 256:
            for one in under_way[:128]:
                one.result()
            del under_way[:128]
        watch.alive()
        done += 1
    for one in under_way:
        one.result()
    return done / (time.perf_counter() - started)


def mixed(database: Database, folder: Path, points: Points, options: Result, watch: Watch) -> Result:
    """70 % upserts of one point, 25 % searches, 5 % filtered ones; p99 and memory for each tenth of the time."""
    watch.alive()
    before = private_mb()
    database.open(folder)
    rng = random.Random(2)
    knob = options["knob"]
    count, queries = len(points.vectors), points.queries
    database.upsert(1, *points.of(1, 1))  # each kind once: what a process does the first time only
    for below in (None, 100):
        database.search(queries[0], K, knob, below)
    windows: list[Result] = []
    window_s = options["mixed_s"] / 10
    for number in range(10):
        took: dict[str, list[float]] = {"upsert": [], "search": [], "filtered": []}
        until = time.perf_counter() + window_s
        while time.perf_counter() < until:
            chance, at = rng.random(), rng.randrange(1, count)
            query = queries[rng.randrange(len(queries))]
            if chance < 0.7:
                one = points.of(at, 1)
                took["upsert"].append(microseconds(lambda at=at, one=one: database.upsert(at, *one))[1])
            elif chance < 0.95:
                took["search"].append(microseconds(lambda q=query: database.search(q, K, knob))[1])
            else:
                took["filtered"].append(microseconds(lambda q=query: database.search(q, K, knob, 100))[1])
            watch.alive()
        window: Result = {
            f"{name}_{part}_us": share(us, float(f"0.{part[1:]}")) for name, us in took.items() if us
            for part in ("p50", "p99")
        }  # fmt: skip
        window |= {"operations": sum(map(len, took.values())), "private_mb": private_mb() - before}
        windows.append({**window, "folder_mb": folder_bytes(folder) / 1e6})
        print(f"tenth {number + 1}: {window}", file=sys.stderr, flush=True)
    recalls: list[float] = []
    for query, right in zip(queries[:200], points.arrays["nearest"], strict=False):
        recalls.append(len(set(right.tolist()) & set(database.search(query, K, knob))) / K)
    database.close()
    return {"windows": windows, "window_s": window_s, "knob": knob, "recall_after": sum(recalls) / len(recalls)}


TASKS = {"build": build, "open": opened, "search": search, "upserts": upserts, "mixed": mixed}


def main() -> None:
    task, name, folder, points, given = sys.argv[1:]
    options = json.loads(given)
    database: Database = importlib.import_module(f"on_{name.replace('-', '_')}").Database()
    watch = Watch(options.get("hang_s", 60))
    result = TASKS[task](database, Path(folder), Points(points), options, watch)
    print(json.dumps(result), flush=True)
    os._exit(0)  # some keep threads that do not end


if __name__ == "__main__":
    main()
