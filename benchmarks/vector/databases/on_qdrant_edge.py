"""qdrant-edge. A write goes to its log, which is not synced for each."""

from collections.abc import Sequence
from pathlib import Path

import qdrant_edge as q
from database import PREFETCH, RRF_K, Array


class Database:
    knobs = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
    settings = "HNSW, m 16, ef 100 as it comes, f32, BM25 over its text index; not synced"

    def create(self, folder: Path, dimension: int) -> None:
        config = q.EdgeConfig(vectors=q.EdgeVectorParams(size=dimension, distance=q.Distance.Euclid))
        folder.mkdir(parents=True)
        self.shard = q.EdgeShard.create(str(folder), config)
        text = q.TextIndexParams(tokenizer=q.TokenizerType.Word, lowercase=True, scoring=True)
        self.shard.update(q.UpdateOperation.create_field_index("n", q.PayloadSchemaType.Integer))
        self.shard.update(q.UpdateOperation.create_field_index("text", text))

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        rows = zip(vectors.tolist(), numbers.tolist(), texts, strict=True)
        points = [q.Point(first_id + i, vector, {"n": n, "text": text}) for i, (vector, n, text) in enumerate(rows)]
        self.shard.update(q.UpdateOperation.upsert_points(points))

    def build(self) -> None:
        self.shard.optimize()
        self.shard.flush()

    def open(self, folder: Path) -> None:
        self.shard = q.EdgeShard.load(str(folder))

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        chosen = None if below is None else q.Filter(must=[q.FieldCondition("n", range=q.RangeFloat(lt=below))])
        request = q.SearchRequest(
            q.Query.Nearest(query.tolist()), limit=k, filter=chosen, params=q.SearchParams(hnsw_ef=knob)
        )
        return [point.id for point in self.shard.search(request)]

    def hybrid(self, query: Array, words: str, k: int, knob: int) -> list[int]:
        params = q.SearchParams(hnsw_ef=knob)
        near = q.Prefetch(PREFETCH, query=q.Query.Nearest(query.tolist()), params=params)
        by_words = q.Prefetch(PREFETCH, query=q.TextQuery("text", words))
        request = q.QueryRequest(k, prefetches=[near, by_words], query=q.Fusion.Rrf(RRF_K))
        return [point.id for point in self.shard.query(request)]

    def close(self) -> None:
        self.shard.close()
