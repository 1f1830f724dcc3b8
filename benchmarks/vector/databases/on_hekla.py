"""Hekla, embedded. Every acknowledged batch is on disk (fsync)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from database import PREFETCH, Array

from hekla.vector import (
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Fusion,
    Nearest,
    Point,
    Range,
    Search,
    VectorSchema,
    Words,
)


class Database:
    knobs = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640)
    settings = "as it comes: a graph, exact re-ranking, every acknowledged batch synced"

    def create(self, folder: Path, dimension: int) -> None:
        fields = {"n": FieldSchema("integer"), "text": FieldSchema("text")}
        schema = CollectionSchema({"": VectorSchema(dimension, "l2")}, fields=fields)
        self.collection = Collection.create(folder, schema)

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        payloads = [{"n": n, "text": text} for n, text in zip(numbers.tolist(), texts, strict=True)]
        self.collection.upsert_arrays(np.arange(first_id, first_id + len(vectors), dtype=np.uint64), vectors, payloads)

    def upsert_later(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]):
        rows = zip(vectors, numbers.tolist(), texts, strict=True)
        points = [Point(first_id + i, {"": v}, {"n": n, "text": text}) for i, (v, n, text) in enumerate(rows)]
        return self.collection.submit(points)

    def build(self) -> None:
        self.collection.optimise()

    def open(self, folder: Path) -> None:
        self.collection = Collection.open(folder)

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        if below is None:
            return [p.id for p in self.collection.search(query, k, ef=knob)]
        return [p.id for p in self.collection.search(query, k, ef=knob, filter=Filter((Range("n", lt=below),)))]

    def hybrid(self, query: Array, words: str, k: int, knob: int) -> list[int]:
        both = (Search(Nearest(query), PREFETCH, ef=knob), Search(Words(words, "text"), PREFETCH))
        return [p.id for p in self.collection.query(Search(Fusion(), k, prefetch=both)).points]

    def close(self) -> None:
        self.collection.close()
