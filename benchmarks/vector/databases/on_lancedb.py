"""lancedb: IVF-PQ with refinement, its usual index."""

from pathlib import Path

import lancedb
import pyarrow as pa
from database import Array


class Database:
    knobs = (2, 4, 8, 16, 32, 64, 128)  # partitions probed; ten times the wanted are refined

    def create(self, folder: Path, dimension: int) -> None:
        self.dimension = dimension
        vector = pa.list_(pa.float32(), dimension)
        schema = pa.schema([("id", pa.int64()), ("n", pa.int64()), ("vector", vector)])
        self.table = lancedb.connect(str(folder)).create_table("points", schema=schema)

    def upsert(self, first_id: int, vectors: Array, numbers: Array) -> None:
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        ids = pa.array(range(first_id, first_id + len(vectors)), pa.int64())
        rows = pa.table({"id": ids, "n": pa.array(numbers, pa.int64()), "vector": flat})
        if first_id == 0:
            self.table.add(rows)
        else:
            self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def build(self) -> None:
        self.table.create_index(metric="l2", vector_column_name="vector", num_sub_vectors=self.dimension // 4)
        self.table.create_scalar_index("n")
        self.table.optimize()

    def open(self, folder: Path) -> None:
        self.table = lancedb.connect(str(folder)).open_table("points")

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        request = self.table.search(query).nprobes(knob).refine_factor(10).limit(k).select(["id"])
        if below is not None:
            request = request.where(f"n < {below}", prefilter=True)
        return request.to_arrow()["id"].to_pylist()

    def close(self) -> None:
        del self.table
