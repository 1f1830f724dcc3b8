"""zvec: HNSW over 8-bit codes. Acknowledged batches are in its log, which is not synced for each."""

from pathlib import Path

import zvec
from database import Array

_BATCH = 1000  # of one call, its limit


class Database:
    knobs = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)

    def create(self, folder: Path, dimension: int) -> None:
        index = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.L2, m=16, ef_construction=200, quantize_type=zvec.QuantizeType.INT8
        )
        n = zvec.FieldSchema(
            "n", zvec.DataType.INT64, index_param=zvec.InvertIndexParam(enable_range_optimization=True)
        )
        vector = zvec.VectorSchema("vector", zvec.DataType.VECTOR_FP32, dimension, index_param=index)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.points = zvec.create_and_open(str(folder), zvec.CollectionSchema("points", fields=[n], vectors=[vector]))

    def upsert(self, first_id: int, vectors: Array, numbers: Array) -> None:
        for at in range(0, len(vectors), _BATCH):
            rows = zip(vectors[at : at + _BATCH].tolist(), numbers[at : at + _BATCH].tolist(), strict=True)
            docs = [
                zvec.Doc(str(first_id + at + i), vectors={"vector": vector}, fields={"n": n})
                for i, (vector, n) in enumerate(rows)
            ]
            self.points.upsert(docs)

    def build(self) -> None:
        self.points.optimize()
        self.points.flush()

    def open(self, folder: Path) -> None:
        self.points = zvec.open(str(folder))

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        request = zvec.Query("vector", vector=query.tolist(), param=zvec.HnswQueryParam(ef=knob))
        chosen = None if below is None else f"n < {below}"
        return [int(doc.id) for doc in self.points.query(request, topk=k, filter=chosen, output_fields=[])]

    def close(self) -> None:
        self.points.close()
