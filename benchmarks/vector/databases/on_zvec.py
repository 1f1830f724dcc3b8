"""zvec: HNSW over 8-bit codes. Acknowledged batches are in its log, which is not synced for each."""

from collections.abc import Sequence
from pathlib import Path

import zvec
from database import RRF_K, Array

_BATCH = 1000  # of one call, its limit


class Database:
    knobs = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
    settings = "HNSW, m 16, ef 200, 8-bit codes, refined; its own number of threads; not synced"

    def create(self, folder: Path, dimension: int) -> None:
        index = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.L2, m=16, ef_construction=200, quantize_type=zvec.QuantizeType.INT8
        )
        in_order = zvec.InvertIndexParam(enable_range_optimization=True)
        words = zvec.FtsIndexParam(tokenizer_name="standard", filters=["lowercase"])
        n = zvec.FieldSchema("n", zvec.DataType.INT64, index_param=in_order)
        text = zvec.FieldSchema("text", zvec.DataType.STRING, index_param=words)
        vector = zvec.VectorSchema("vector", zvec.DataType.VECTOR_FP32, dimension, index_param=index)
        folder.parent.mkdir(parents=True, exist_ok=True)
        schema = zvec.CollectionSchema("points", fields=[n, text], vectors=[vector])
        self.points = zvec.create_and_open(str(folder), schema)

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        for at in range(0, len(vectors), _BATCH):
            some = slice(at, at + _BATCH)
            rows = zip(vectors[some].tolist(), numbers[some].tolist(), texts[some], strict=True)
            docs = [
                zvec.Doc(str(first_id + at + i), vectors={"vector": vector}, fields={"n": n, "text": text})
                for i, (vector, n, text) in enumerate(rows)
            ]
            self.points.upsert(docs)

    def build(self) -> None:
        self.points.optimize()
        self.points.flush()

    def open(self, folder: Path) -> None:
        self.points = zvec.open(str(folder))

    def _nearest(self, query: Array, knob: int):  # no types: zvec's
        param = zvec.HnswQueryParam(ef=knob, is_using_refiner=True)
        return zvec.Query("vector", vector=query.tolist(), param=param)

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        chosen = None if below is None else f"n < {below}"
        found = self.points.query(self._nearest(query, knob), topk=k, filter=chosen, output_fields=[])
        return [int(doc.id) for doc in found]

    def hybrid(self, query: Array, words: str, k: int, knob: int) -> list[int]:
        both = [self._nearest(query, knob), zvec.Query("text", fts=zvec.Fts(match_string=words))]
        join = zvec.RrfReRanker(rank_constant=RRF_K)
        return [int(doc.id) for doc in self.points.query(both, topk=k, output_fields=[], reranker=join)]

    def close(self) -> None:
        self.points.close()
