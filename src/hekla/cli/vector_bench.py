"""`hekla vector bench`: what a collection's searches cost here, and how good they are."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.base.errors import InputError
from hekla.cli.screen import AsJson, console, write_json, write_table
from hekla.cli.vector_open import Folder, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hekla.vector import Collection

_EFS = (16, 32, 64, 128, 256, 512)


def bench(
    folder: Folder,
    queries: Annotated[int, typer.Option("--queries", min=1, help="How many, made of points drawn at random.")] = 200,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Points for each query.")] = 10,
    using: Annotated[str, typer.Option("--using", help="The vector's name, where there are several.")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure searches of a collection: recall against exact search, queries a second, microseconds.

    The queries are points of the collection, moved a little. One process, one thread, a call for each query.

    Example: `hekla vector bench notes --queries 500`
    """
    started = time.perf_counter()
    with reading(folder) as collection:
        opened_ms = (time.perf_counter() - started) * 1e3
        given = _queries(collection, using, queries, seed)
        exact, exact_us = _run(collection, given, using, limit, None)
        rows = []
        for ef in (ef for ef in _EFS if ef >= limit):
            found, took_us = _run(collection, given, using, limit, ef)
            right = sum(len(set(a) & set(b)) for a, b in zip(found, exact, strict=True))
            rows.append(_row(str(ef), right / max(1, sum(map(len, exact))), took_us))
        rows.append(_row("exact", 1.0, exact_us))
        points = len(collection)
    if as_json:
        write_json({"folder": str(folder), "points": points, "open_ms": round(opened_ms, 3), "searches": rows})
        return
    console().print(f"{folder}: {points} points, opened in {opened_ms:.1f} ms", markup=False)
    cells = [
        (
            str(row["ef"]),
            f"{row['recall']:.3f}",
            f"{row['per_second']:.0f}",
            f"{row['p50_us']:.0f}",
            f"{row['p99_us']:.0f}",
        )
        for row in rows
    ]
    write_table(("ef ", f"recall@{limit} ", "per second ", "p50 us ", "p99 us "), cells)


def _queries(collection: "Collection", using: str, count: int, seed: int) -> "NDArray[np.float32]":
    import numpy as np

    from hekla.vector import Sample, Search, Wanted

    vector = collection.schema.vectors.get(using)
    if vector is None or vector.is_multi or vector.dtype == "binary":
        raise InputError("has no such vector of one list of numbers a point", where="--using")
    drawn = collection.query(Search(Sample(seed), count), Wanted(vectors=(using,))).points
    vectors = [np.asarray(point.vectors[using], np.float32) for point in drawn if point.vectors]
    if not vectors:
        raise InputError("holds no points to make queries of", where="FOLDER", cure="import some first")
    given = np.stack(vectors)
    moved = np.random.default_rng(seed).normal(size=given.shape).astype(np.float32)
    queries: NDArray[np.float32] = given + 0.1 * given.std() * moved
    return queries


def _run(
    collection: "Collection", queries: "NDArray[np.float32]", using: str, limit: int, ef: int | None
) -> tuple[list[list[object]], list[float]]:
    """Return the ids each query finds and the microseconds it takes; ef None: exactly."""
    found: list[list[object]] = []
    took_us = []
    options = {"is_exact": True} if ef is None else {"ef": ef}
    collection.search(queries[0], limit, using=using, **options)
    for query in queries:
        started = time.perf_counter_ns()
        points = collection.search(query, limit, using=using, **options)
        took_us.append((time.perf_counter_ns() - started) / 1e3)
        found.append([point.id for point in points])
    return found, took_us


def _row(ef: str, recall: float, took_us: list[float]) -> dict[str, str | float]:
    in_order = sorted(took_us)
    return {
        "ef": ef,
        "recall": round(recall, 4),
        "per_second": round(len(in_order) / sum(in_order) * 1e6, 1),
        "p50_us": round(in_order[len(in_order) // 2], 1),
        "p99_us": round(in_order[min(len(in_order) - 1, len(in_order) * 99 // 100)], 1),
    }
