"""LlamaIndex's vector store over a collection in a folder. `pip install llama-index-core`.

store = HeklaStore("notes", dimension=384)
index = VectorStoreIndex.from_vector_store(store, embed_model=model)
index.insert_nodes([TextNode(text="a cat")])
"""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from hekla.base.errors import UnsupportedError
from hekla.vector import (
    WITH_PAYLOAD,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Fusion,
    Match,
    MatchText,
    Nearest,
    Point,
    Range,
    Search,
    TextOptions,
    VectorSchema,
    Words,
)

_BOUNDS = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}


class HeklaStore(BasePydanticVectorStore):  # type: ignore[misc]  # llama-index-core is not installed where this is checked
    """Nodes in a collection. Modes: default and hybrid (meaning and words, joined by ranks)."""

    stores_text: bool = True
    flat_metadata: bool = True
    _collection: Collection = PrivateAttr()

    def __init__(self, folder: str | Path, *, dimension: int, language: str = "english") -> None:
        super().__init__()
        if (Path(folder) / "manifest.json").exists():
            self._collection = Collection.open(folder)
        else:
            fields = {
                "text": FieldSchema("text", TextOptions(language)),
                "metadata.ref_doc_id": FieldSchema("keyword"),
            }
            self._collection = Collection.create(folder, CollectionSchema({"": VectorSchema(dimension)}, fields=fields))

    @property
    def client(self) -> Collection:
        """The collection."""
        return self._collection

    def close(self) -> None:
        """Give the folder free."""
        self._collection.close()

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:  # Any: LlamaIndex's
        """Write nodes with their embeddings; they are on disk when this returns."""
        points = []
        for node in nodes:
            metadata = node_to_metadata_dict(node, remove_text=True, flat_metadata=True)
            payload = {"id": node.node_id, "text": node.get_content(), "metadata": metadata}
            points.append(Point(_point_id(node.node_id), {"": node.get_embedding()}, payload))
        self._collection.upsert(points)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove a document's nodes."""
        self._collection.delete(Filter((Match("metadata.ref_doc_id", (ref_doc_id,)),)))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove nodes by id, and all that the filters hold for."""
        if node_ids:
            self._collection.delete([_point_id(node_id) for node_id in node_ids])
        if filters is not None:
            self._collection.delete(_filter(filters))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nearest nodes."""
        chosen = None if query.filters is None else _filter(query.filters)
        k = query.similarity_top_k
        near = Search(Nearest(query.query_embedding), k, filter=chosen)
        if query.mode == VectorStoreQueryMode.HYBRID:
            ways = (Search(near.query, max(50, k)), Search(Words(query.query_str or "", "text"), max(50, k)))
            near = Search(Fusion(), k, filter=chosen, prefetch=ways)
        elif query.mode != VectorStoreQueryMode.DEFAULT:
            raise UnsupportedError(f"mode {query.mode} is not offered", cure="use default or hybrid")
        points = self._collection.query(near, WITH_PAYLOAD).points
        nodes = []
        for point in points:
            assert point.payload is not None
            node = metadata_dict_to_node(point.payload["metadata"])
            node.set_content(point.payload["text"])
            nodes.append(node)
        return VectorStoreQueryResult(
            nodes=nodes, similarities=[point.score for point in points], ids=[node.node_id for node in nodes]
        )


def _point_id(node_id: str) -> uuid.UUID:
    """Return the UUID a text is, or one that stands for it."""
    try:
        return uuid.UUID(node_id)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, node_id)


def _filter(filters: MetadataFilters) -> Filter:
    conditions = tuple(_filter(f) if isinstance(f, MetadataFilters) else _condition(f) for f in filters.filters)
    if filters.condition == FilterCondition.OR:
        return Filter(should=conditions)
    return Filter(must_not=conditions) if filters.condition == FilterCondition.NOT else Filter(must=conditions)


def _condition(one: MetadataFilter) -> Any:  # Any: a condition
    path, operator, value = f"metadata.{one.key}", one.operator, one.value
    if operator == FilterOperator.EQ:
        return Range(path, gte=value, lte=value) if isinstance(value, float) else Match(path, (value,))
    if operator == FilterOperator.NE:
        return Filter(must_not=(Match(path, (value,)),))
    if operator in _BOUNDS:
        return Range(path, **{_BOUNDS[operator]: value})
    if operator in (FilterOperator.IN, FilterOperator.ANY):
        return Match(path, tuple(value))
    if operator == FilterOperator.NIN:
        return Filter(must_not=(Match(path, tuple(value)),))
    if operator == FilterOperator.TEXT_MATCH:
        return MatchText(path, value)
    raise UnsupportedError(f"operator {operator} is not offered", cure="use ==, !=, >, >=, <, <=, in, nin, text_match")
