"""milvus-lite through its client."""

from pathlib import Path

from database import Array
from pymilvus import DataType, MilvusClient

_BATCH = 5000


class Database:
    knobs = (1,)  # it compares with every vector, whatever index is asked for

    def create(self, folder: Path, dimension: int) -> None:
        folder.mkdir(parents=True)
        self.client = MilvusClient(str(folder / "points.db"))
        schema = MilvusClient.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("n", DataType.INT64)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=dimension)
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="FLAT", metric_type="L2")
        self.client.create_collection("points", schema=schema, index_params=index)

    def upsert(self, first_id: int, vectors: Array, numbers: Array) -> None:
        for at in range(0, len(vectors), _BATCH):
            part = zip(vectors[at : at + _BATCH].tolist(), numbers[at : at + _BATCH].tolist(), strict=True)
            rows = [{"id": first_id + at + i, "n": n, "v": vector} for i, (vector, n) in enumerate(part)]
            self.client.upsert("points", rows)

    def build(self) -> None:
        self.client.load_collection("points")

    def open(self, folder: Path) -> None:
        self.client = MilvusClient(str(folder / "points.db"))
        self.client.load_collection("points")

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        chosen = "" if below is None else f"n < {below}"
        found = self.client.search("points", data=[query.tolist()], limit=k, filter=chosen)
        return [hit["id"] for hit in found[0]]

    def close(self) -> None:
        self.client.close()
