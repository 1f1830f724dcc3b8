"""The stores in examples/ for LangChain and LlamaIndex, where these are installed."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def vector(text: str) -> list[float]:
    """A model of three words."""
    return [float(text.count("cat")) + 0.01, float(text.count("dog")) + 0.01, float(text.count("tax")) + 0.01]


def test_langchain_finds_filters_and_deletes_documents(tmp_path: Path) -> None:
    embeddings = pytest.importorskip("langchain_core.embeddings", reason="langchain-core is not installed")

    class Model(embeddings.Embeddings):  # type: ignore[name-defined,misc]  # known only where it is installed
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [vector(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return vector(text)

    store: Any = example("langchain_store").HeklaStore(tmp_path / "points", Model())
    with store:
        keys = store.add_texts(["a cat", "a dog", "a tax on dogs"], [{"n": 1}, {"n": 2}, {"n": 3}], ids=["a", "b", "c"])
        assert keys == ["a", "b", "c"]
        assert [d.page_content for d in store.similarity_search("dog", 2)] == ["a dog", "a tax on dogs"]
        assert [d.metadata for d in store.similarity_search("dog", filter={"n": 3})] == [{"n": 3}]
        assert store.similarity_search("taxes", 1, is_hybrid=True)[0].id == "c"
        assert store.as_retriever(search_kwargs={"k": 1}).invoke("cat")[0].page_content == "a cat"
        assert [d.id for d in store.get_by_ids(["b"])] == ["b"]
        store.delete(["b"])
        assert len(store.similarity_search("dog", 5)) == 2
    again: Any = example("langchain_store").HeklaStore(tmp_path / "points", Model())
    with again:
        assert len(again.collection) == 2
        again.delete()
        assert len(again.collection) == 0


def test_llama_index_finds_filters_and_deletes_nodes(tmp_path: Path) -> None:
    types: Any = pytest.importorskip("llama_index.core.vector_stores.types", reason="llama-index-core is not installed")
    schema: Any = pytest.importorskip("llama_index.core.schema")
    store: Any = example("llama_index_store").HeklaStore(tmp_path / "points", dimension=3)
    texts = ["a cat", "a dog", "a tax on dogs"]
    nodes = [
        schema.TextNode(
            id_=f"node-{i}",
            text=text,
            metadata={"n": i},
            embedding=vector(text),
            relationships={schema.NodeRelationship.SOURCE: schema.RelatedNodeInfo(node_id=f"doc-{i}")},
        )
        for i, text in enumerate(texts)
    ]
    assert store.add(nodes) == ["node-0", "node-1", "node-2"]

    def ids(**more: Any) -> list[str]:
        query = types.VectorStoreQuery(query_embedding=vector("dog"), similarity_top_k=3, **more)
        return list(store.query(query).ids)

    assert ids() == ["node-1", "node-2", "node-0"]
    assert ids(mode=types.VectorStoreQueryMode.HYBRID, query_str="taxes")[0] in ("node-1", "node-2")
    one = types.MetadataFilter(key="n", value=1, operator=types.FilterOperator.GT)
    other = types.MetadataFilter(key="n", value=0)
    assert ids(filters=types.MetadataFilters(filters=[one])) == ["node-2"]
    either = types.MetadataFilters(filters=[one, other], condition=types.FilterCondition.OR)
    assert ids(filters=either) == ["node-2", "node-0"]
    store.delete("doc-1")
    assert ids() == ["node-2", "node-0"]
    store.delete_nodes(["node-2"])
    assert ids() == ["node-0"]
    found = store.query(types.VectorStoreQuery(query_embedding=vector("cat"), similarity_top_k=1)).nodes[0]
    assert (found.text, found.metadata["n"]) == ("a cat", 0)
    store.close()
