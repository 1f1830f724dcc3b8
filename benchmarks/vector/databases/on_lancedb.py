"""lancedb: one HNSW graph over 8-bit codes with refinement, which its manual recommends for latency and recall."""

from collections.abc import Sequence
from pathlib import Path

import lancedb
import pyarrow as pa
from database import RRF_K, Array
from lancedb.rerankers import RRFReranker


class Database:
    knobs = (20, 32, 48, 64, 96, 128, 256)  # ef; twice the wanted are refined, and ef is at least that
    settings = "IVF_HNSW_SQ, one partition, m 20, ef 300, refines 2 k by f32; not synced"

    is_filling = False  # nothing that is written is there already

    def create(self, folder: Path, dimension: int) -> None:
        self.is_filling = True
        vector = pa.list_(pa.float32(), dimension)
        schema = pa.schema([("id", pa.int64()), ("n", pa.int64()), ("text", pa.string()), ("vector", vector)])
        self.table = lancedb.connect(str(folder)).create_table("points", schema=schema)

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        ids = pa.array(range(first_id, first_id + len(vectors)), pa.int64())
        rows = pa.table({"id": ids, "n": pa.array(numbers, pa.int64()), "text": pa.array(texts), "vector": flat})
        if self.is_filling:
            self.table.add(rows)
        else:
            self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def build(self) -> None:
        kind = {"index_type": "IVF_HNSW_SQ", "num_partitions": 1, "m": 20, "ef_construction": 300}
        self.table.create_index(metric="l2", vector_column_name="vector", **kind)
        self.table.create_scalar_index("n")
        self.table.create_scalar_index("id")
        self.table.create_fts_index("text", stem=False, remove_stop_words=False, with_position=False)
        self.table.optimize()

    def open(self, folder: Path) -> None:
        self.table = lancedb.connect(str(folder)).open_table("points")

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        request = self.table.search(query).nprobes(1).ef(knob).refine_factor(2).limit(k).select(["id"])
        if below is not None:
            request = request.where(f"n < {below}", prefilter=True)
        return request.to_arrow()["id"].to_pylist()

    def hybrid(self, query: Array, words: str, k: int, knob: int) -> list[int]:
        request = self.table.search(query_type="hybrid", vector_column_name="vector", fts_columns="text")
        request = request.vector(query).text(words).nprobes(1).ef(max(knob, 2 * k)).refine_factor(2).limit(k)
        return request.rerank(RRFReranker(RRF_K)).select(["id"]).to_arrow()["id"].to_pylist()

    def close(self) -> None:
        del self.table
