"""python -m benchmarks.vector.opening: opening a collection and its first question, by size, each in a fresh process.

Points are random (128 x f32); a collection of 10^7 takes 11 GB of disk while it is made and 6 GB after. Without
--graphs it is sealed and not merged: opening costs the same, and the first question compares with every vector.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.vector.database import evict, run
from hekla.vector import Collection, CollectionSchema, VectorSchema

BLOCK = 100_000


def make(folder: Path, rows: int, *, has_graphs: bool) -> None:
    """Make a collection of so many points, a segment for each million."""
    rng = np.random.default_rng(1)
    schema = CollectionSchema({"": VectorSchema(128, "l2")}, sync="off")
    with Collection.create(folder, schema, has_upkeep=False) as collection:
        for first in range(0, rows, BLOCK):
            count = min(BLOCK, rows - first)
            ids = np.arange(first, first + count, dtype=np.uint64)
            collection.upsert_arrays(ids, rng.normal(size=(count, 128)).astype(np.float32))
            if (first // BLOCK) % 10 == 9:
                collection.optimise(is_whole=False)
        collection.optimise(is_whole=has_graphs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector.opening", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000", help="points, with commas")
    parser.add_argument("--graphs", action="store_true", help="merge into one segment with a graph")
    options = parser.parse_args()
    print("| points | bytes | open ms, warm | first question ms | cold | first question | private MB after opening |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="hekla-opening-") as scratch:
        question = Path(scratch) / "question.npz"
        np.savez(question, queries=np.zeros((1, 128), np.float32))
        for rows in map(int, options.sizes.split(",")):
            folder = Path(scratch) / str(rows)
            make(folder, rows, has_graphs=options.graphs)
            warm = [run("open", "hekla", folder, question, {}, 600) for _ in range(7)]
            cold = []
            for _ in range(3):
                evict(folder)
                cold.append(run("open", "hekla", folder, question, {}, 600))
            size = sum(path.stat().st_size for path in folder.iterdir())
            cells = [f"{min(r[key] for r in each):.1f}" for each in (warm, cold) for key in ("open_ms", "first_ms")]
            private = min(r["private_mb"] for r in warm)
            print(f"| {rows:,} | {size:,} | {' | '.join(cells)} | {private:.1f} |", flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
