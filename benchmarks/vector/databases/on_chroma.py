"""chroma, persistent, in this process."""

from collections.abc import Sequence
from pathlib import Path

import chromadb
from chromadb.config import Settings
from database import Array

_BATCH = 5000  # its own limit is a little above


class Database:
    knobs = (10, 32, 64, 128, 256)  # fixed when the collection is made: changed by modifying it
    settings = "HNSW, 32 neighbours, ef 200; not synced"

    def _client(self, folder: Path):  # no types: chroma's
        return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))

    def create(self, folder: Path, dimension: int) -> None:
        hnsw = {"space": "l2", "ef_search": 256, "ef_construction": 200, "max_neighbors": 32}
        self.client = self._client(folder)
        self.points = self.client.create_collection("points", configuration={"hnsw": hnsw}, embedding_function=None)
        self.knob = 256

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        for at in range(0, len(vectors), _BATCH):
            part = vectors[at : at + _BATCH]
            both = zip(numbers[at : at + _BATCH].tolist(), texts[at : at + _BATCH], strict=True)
            ids = [str(first_id + at + i) for i in range(len(part))]
            self.points.upsert(ids=ids, embeddings=part, metadatas=[{"n": n, "text": text} for n, text in both])

    def build(self) -> None:
        pass  # it builds as it writes

    def open(self, folder: Path) -> None:
        self.client = self._client(folder)
        self.points = self.client.get_collection("points", embedding_function=None)
        self.knob = self.points.configuration["hnsw"]["ef_search"]

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        if knob != self.knob:
            self.points.modify(configuration={"hnsw": {"ef_search": knob}})
            self.knob = knob
        where = None if below is None else {"n": {"$lt": below}}
        found = self.points.query(query_embeddings=[query], n_results=k, where=where, include=[])
        return [int(value) for value in found["ids"][0]]

    def close(self) -> None:
        del self.points, self.client
