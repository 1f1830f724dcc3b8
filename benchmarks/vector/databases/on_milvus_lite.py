"""milvus-lite through its client."""

from collections.abc import Sequence
from pathlib import Path

from database import PREFETCH, RRF_K, Array
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker

_BATCH = 5000


class Database:
    knobs = (10, 16, 24, 32, 48, 64, 96, 128, 256)
    settings = "HNSW, M 16, ef 200, BM25 function, through its client; not synced"

    def create(self, folder: Path, dimension: int) -> None:
        folder.mkdir(parents=True)
        self.client = MilvusClient(str(folder / "points.db"))
        schema = MilvusClient.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("n", DataType.INT64)
        schema.add_field("text", DataType.VARCHAR, max_length=400, enable_analyzer=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=dimension)
        schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
        given = {"input_field_names": ["text"], "output_field_names": ["words"]}
        schema.add_function(Function(name="bm25", function_type=FunctionType.BM25, **given))
        index = self.client.prepare_index_params()
        index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 16, "efConstruction": 200})
        index.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
        index.add_index("n", index_type="INVERTED")
        self.client.create_collection("points", schema=schema, index_params=index)

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        for at in range(0, len(vectors), _BATCH):
            some = slice(at, at + _BATCH)
            part = zip(vectors[some].tolist(), numbers[some].tolist(), texts[some], strict=True)
            rows = [{"id": first_id + at + i, "n": n, "text": t, "v": v} for i, (v, n, t) in enumerate(part)]
            self.client.upsert("points", rows)

    def build(self) -> None:
        self.client.flush("points")  # what is in memory only has no graph
        self.client.load_collection("points")

    def open(self, folder: Path) -> None:
        self.client = MilvusClient(str(folder / "points.db"))
        self.client.load_collection("points")

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        chosen = "" if below is None else f"n < {below}"
        given = {"anns_field": "v", "limit": k, "filter": chosen, "search_params": {"params": {"ef": knob}}}
        return [hit["id"] for hit in self.client.search("points", data=[query.tolist()], **given)[0]]

    def hybrid(self, query: Array, words: str, k: int, knob: int) -> list[int]:
        near = AnnSearchRequest([query.tolist()], "v", {"params": {"ef": max(knob, PREFETCH)}}, PREFETCH)
        by_words = AnnSearchRequest([words], "words", {}, PREFETCH)
        return [hit["id"] for hit in self.client.hybrid_search("points", [near, by_words], RRFRanker(RRF_K), k)[0]]

    def close(self) -> None:
        self.client.close()
