"""chroma, persistent, in this process."""

from pathlib import Path

import chromadb
from chromadb.config import Settings
from database import Array

_BATCH = 5000  # its own limit is a little above


class Database:
    knobs = (10, 32, 64, 128, 256)  # fixed when the collection is made: changed by modifying it

    def _client(self, folder: Path):  # no types: chroma's
        return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))

    def create(self, folder: Path, dimension: int) -> None:
        configuration = {"hnsw": {"space": "l2", "ef_search": 128}}
        self.client = self._client(folder)
        self.points = self.client.create_collection("points", configuration=configuration, embedding_function=None)
        self.knob = 128

    def upsert(self, first_id: int, vectors: Array, numbers: Array) -> None:
        for at in range(0, len(vectors), _BATCH):
            part, n = vectors[at : at + _BATCH], numbers[at : at + _BATCH].tolist()
            ids = [str(first_id + at + i) for i in range(len(part))]
            self.points.upsert(ids=ids, embeddings=part, metadatas=[{"n": value} for value in n])

    def build(self) -> None:
        pass  # it builds as it writes

    def open(self, folder: Path) -> None:
        self.client = self._client(folder)
        self.points = self.client.get_collection("points", embedding_function=None)
        self.knob = 0

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        if knob != self.knob:
            self.points.modify(configuration={"hnsw": {"ef_search": knob}})
            self.knob = knob
        where = None if below is None else {"n": {"$lt": below}}
        found = self.points.query(query_embeddings=[query], n_results=k, where=where, include=[])
        return [int(value) for value in found["ids"][0]]

    def close(self) -> None:
        del self.points, self.client
