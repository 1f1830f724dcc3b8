"""LangChain's vector store over a collection in a folder. `pip install langchain-core`.

    store = HeklaStore("notes", embeddings)
    store.add_texts(["a cat", "a dog"], [{"kind": "pet"}, {"kind": "pet"}])
    store.as_retriever().invoke("kitten")

The collection is made on first use, with an index over the words: `similarity_search(..., is_hybrid=True)` asks both.
"""

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from hekla.vector import (
    WITH_PAYLOAD,
    Collection,
    CollectionSchema,
    FieldSchema,
    Filter,
    Fusion,
    Match,
    Nearest,
    Point,
    Search,
    TextOptions,
    VectorSchema,
    Words,
)

Metadata = dict[str, Any]  # Any: JSON


class HeklaStore(VectorStore):  # type: ignore[misc]  # langchain-core is not installed where this is checked
    """Documents in a collection. Close it, or use it in a `with`."""

    def __init__(self, folder: str | Path, embedding: Embeddings, *, language: str = "english") -> None:
        self._embedding = embedding
        if (Path(folder) / "manifest.json").exists():
            self.collection = Collection.open(folder)
        else:
            dimension = len(embedding.embed_query("a"))
            fields = {"text": FieldSchema("text", TextOptions(language))}
            self.collection = Collection.create(folder, CollectionSchema({"": VectorSchema(dimension)}, fields=fields))

    def __enter__(self) -> "HeklaStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the folder free."""
        self.collection.close()

    @property
    def embeddings(self) -> Embeddings:
        return self._embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[Metadata] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,  # Any: LangChain's
    ) -> list[str]:
        """Write texts, in place of those with their ids; they are on disk when this returns."""
        given = list(texts)
        keys = ids or [str(uuid.uuid4()) for _ in given]
        more = metadatas or [{} for _ in given]
        vectors = self._embedding.embed_documents(given)
        self.collection.upsert(
            [
                Point(_point_id(key), {"": vector}, {"id": key, "text": text, "metadata": metadata})
                for key, text, metadata, vector in zip(keys, given, more, vectors, strict=True)
            ]
        )
        return keys

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents; None: all."""
        self.collection.delete(Filter() if ids is None else [_point_id(key) for key in ids])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        return [_document(record.payload) for record in self.collection.retrieve([_point_id(key) for key in ids])]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the nearest documents; `is_hybrid`: in meaning and words. `filter`: metadata, or a Filter."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Metadata | Filter | None = None, is_hybrid: bool = False, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return documents and scores: the cosine, or for `is_hybrid` the sum of reciprocal ranks."""
        near = Search(Nearest(self._embedding.embed_query(query)), k, filter=_filter(filter))
        if not is_hybrid:
            return self._found(near)
        ways = (Search(near.query, max(50, k)), Search(Words(query, "text"), max(50, k)))
        return self._found(Search(Fusion(), k, filter=near.filter, prefetch=ways))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Metadata | Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        return [document for document, _ in self._found(Search(Nearest(embedding), k, filter=_filter(filter)))]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[Metadata] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> "HeklaStore":
        """Make a store of texts. `folder`: where."""
        store = cls(kwargs["folder"], embedding)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def _found(self, search: Search) -> list[tuple[Document, float]]:
        points = self.collection.query(search, WITH_PAYLOAD).points
        return [(_document(point.payload), point.score) for point in points]


def _point_id(key: str) -> uuid.UUID:
    """Return the UUID a text is, or one that stands for it."""
    try:
        return uuid.UUID(key)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, key)


def _document(payload: Any) -> Document:  # Any: JSON
    return Document(id=payload["id"], page_content=payload["text"], metadata=payload["metadata"])


def _filter(given: Metadata | Filter | None) -> Filter | None:
    if given is None or isinstance(given, Filter):
        return given
    return Filter(tuple(Match(f"metadata.{key}", (value,)) for key, value in given.items()))
