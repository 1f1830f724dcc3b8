"""python -m benchmarks.vector.opening: opening a collection and its first question, by size, each in a fresh process.

Up to 10^6 points are of 128 coordinates, in one segment with a graph. 10^7 are of 32, with 8-bit codes and a graph that
is not refined, which halves the time it takes to make; they lie as the upkeep thread leaves them: segments of 1.6
million points with a graph, and two of 200,000 that are too young to be merged. Collections are made once and kept;
--make stops there, --drop removes them. Cold: the collection's files are dropped from the page cache, the program's are
not.
"""

import argparse
import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.vector.database import evict, run
from benchmarks.vector.database_tables import Result, least, table
from benchmarks.vector.environments import cache
from hekla.base.errors import HeklaError
from hekla.vector import Collection, CollectionSchema, VectorSchema

BLOCK = 100_000
SEAL = 200_000  # eight of these become a segment of 1.6 million
LARGE = 1_600_000  # from here on points are smaller, and not all in one segment
INTRINSIC = 24


@dataclass(frozen=True, slots=True)
class Made:
    """How a collection was made."""

    seconds: float
    cpu_s: float
    segments: int
    with_graph: int


def points(number: int, count: int, dimension: int) -> NDArray[np.float32]:
    """Return a block of points near a plane of 24 dimensions, the same each time: (count, dimension)."""
    plane = np.random.default_rng(0).normal(size=(INTRINSIC, dimension)).astype(np.float32)
    rng = np.random.default_rng([1, number])
    inside = rng.standard_normal((count, INTRINSIC), dtype=np.float32)
    noise = rng.standard_normal((count, dimension), dtype=np.float32)
    found: NDArray[np.float32] = inside @ plane + 0.3 * noise
    return found


def dimension_of(rows: int) -> int:
    """Return the dimension of a collection of so many points."""
    return 128 if rows < LARGE else 32


def make(folder: Path, rows: int) -> Made:
    """Make a collection of so many points, block by block."""
    dimension = dimension_of(rows)
    index = {} if rows < LARGE else {"compact": 8, "refinements": 0}
    schema = CollectionSchema({"": VectorSchema(dimension, "l2", index=index)}, sync="off", seal_points=SEAL)
    started, used = time.perf_counter(), time.process_time()
    with Collection.create(folder, schema, has_upkeep=False) as collection:
        for first in range(0, rows, BLOCK):
            count = min(BLOCK, rows - first)
            ids = np.arange(first, first + count, dtype=np.uint64)
            collection.upsert_arrays(ids, points(first // BLOCK, count, dimension))
            if first % SEAL:  # the second of two blocks
                collection.optimise(is_whole=False)
                print(f"  {first + count:,} points, {time.perf_counter() - started:.0f} s", flush=True)
        collection.optimise(is_whole=rows < LARGE)
        segments = collection.status().segments
    graphs = sum(segment.has_graph for segment in segments)
    return Made(time.perf_counter() - started, time.process_time() - used, len(segments), graphs)


def kept(rows: int) -> tuple[Path, Made]:
    """Return the folder of a collection, made unless it is there and can be opened."""
    folder = cache() / "opening" / f"{rows}x{dimension_of(rows)}"
    about = folder.with_suffix(".json")
    if about.exists():
        try:
            Collection.open(folder, is_read_only=True).close()
            return folder, Made(**json.loads(about.read_text()))
        except HeklaError as error:
            print(f"  {folder.name} is made again: {error}")
    shutil.rmtree(folder, ignore_errors=True)
    about.unlink(missing_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = make(folder, rows)
    about.write_text(json.dumps(asdict(made)))
    return folder, made


def measured(folder: Path, question: Path) -> tuple[Result, Result]:
    """Return the least times of opening, warm and cold, of fresh processes."""
    options = {"knob": 64}
    warm = [run("open", "hekla", folder, question, options, 600) for _ in range(8)]
    cold = []
    for _ in range(4):
        evict(folder)
        cold.append(run("open", "hekla", folder, question, options, 600))
    return least(warm), least(cold)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector.opening", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000,10000000", help="points, with commas")
    parser.add_argument("--make", action="store_true", help="make the collections, measure nothing")
    parser.add_argument("--drop", action="store_true", help="remove each collection after it was measured")
    options = parser.parse_args()
    lines = []
    for rows in map(int, options.sizes.split(",")):
        folder, made = kept(rows)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{rows:,}: {size:,} bytes, made in {made.seconds:.0f} s, {made.cpu_s:.0f} of processor time", flush=True)
        if not options.make:
            question = cache() / "opening" / f"question-{dimension_of(rows)}.npz"
            np.savez(question, queries=points(10**6, 1, dimension_of(rows)))
            kind = f"{made.segments} ({made.with_graph} with graph)"
            cells = [f"{rows:,} x {dimension_of(rows)}", kind, f"{size:,}"]
            warm, cold = measured(folder, question)
            for result in (warm, cold):
                times = (result.get(key) for key in ("open_ms", "first_ms", "second_ms"))
                cells.append(result.get("error") or " / ".join(f"{ms:.1f}" for ms in times))
            private = [warm.get("private_mb", 0.0), warm.get("private_mb_after_search", 0.0)]
            lines.append([*cells, *(f"{value:.1f}" for value in private)])
        if options.drop:
            shutil.rmtree(folder)
            folder.with_suffix(".json").unlink()
    heads = [
        "points",
        "segments",
        "bytes",
        "open / first / second question ms, warm",
        "cold",
        "private MB, opened",
        "asked",
    ]
    print(f"\n{table(heads, lines)}")


if __name__ == "__main__":
    main()
