"""From a source into a collection, chunk after chunk, each durable before the next is read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hekla.base.errors import InputError, UnavailableError
from hekla.vector.collection import Collection
from hekla.vector.importing.source import Arrays, Chunk, Source, Unnumbered
from hekla.vector.payload.paths import values_at
from hekla.vector.point import Point, PointId
from hekla.vector.rows import AnyArray

Embed = Callable[[Sequence[str]], AnyArray]  # texts -> (n, dimension)
CHUNK_POINTS = 4096
_EMBEDDED_POINTS = 64  # texts sent to a model at a time


@dataclass(frozen=True, slots=True)
class Imported:
    """How far an import came."""

    points: int
    next_id: int  # where counting goes on


def import_source(
    collection: Collection,
    source: Source,
    *,
    first_id: int | None = None,
    chunk_points: int = CHUNK_POINTS,
    embed: Embed | None = None,
    text_path: str = "text",
    into: str = "",
) -> Iterator[Imported]:
    """Write a source's points and yield how far it came after every chunk, which is on disk then.

    first_id: the number of the first point that has none; None: one more than the greatest there is.
    embed: gives points without the vector `into` one, from the text at `text_path`.
    Errors: what the source and `Collection.upsert` raise; points of chunks before are there, none of this one;
    UnavailableError for points without a vector and no `embed`.
    """
    next_id = collection.next_number if first_id is None else first_id
    done = 0
    needs_vector = into in collection.schema.vectors
    for chunk in source.chunks(_EMBEDDED_POINTS if embed is not None else chunk_points):
        numbered, next_id = _numbered(chunk, next_id)
        if isinstance(numbered, Arrays):
            assert numbered.ids is not None, "they were counted"
            collection.upsert_arrays(numbered.ids, numbered.vectors, numbered.payloads)
        else:
            collection.upsert(_with_vectors(numbered, into, embed, text_path) if needs_vector else numbered)
        done += len(numbered)
        yield Imported(done, next_id)


def _numbered(chunk: Chunk, first: int) -> tuple[Arrays | Sequence[Point], int]:
    """Return a chunk with ids, and where counting goes on: past every number that the file gave itself."""
    if isinstance(chunk, Arrays):
        if chunk.ids is not None:
            return chunk, _past(chunk.ids, first)
        end = first + len(chunk)
        return replace(chunk, ids=np.arange(first, end, dtype=np.uint64)), end
    if isinstance(chunk, Unnumbered):
        points = [replace(point, id=first + i) for i, point in enumerate(chunk.points)]
        return points, first + len(points)
    return chunk, _past([point.id for point in chunk], first)


def _past(ids: AnyArray | Sequence[PointId], first: int) -> int:
    numbers = [int(value) for value in ids if isinstance(value, int | np.integer)]
    return max(first, max(numbers, default=-1) + 1)


def _with_vectors(points: Sequence[Point], into: str, embed: Embed | None, text_path: str) -> Sequence[Point]:
    bare = [i for i, point in enumerate(points) if into not in point.vectors]
    if not bare:
        return points
    texts = [next(iter(values_at(points[i].payload, text_path)), None) for i in bare]
    missing = next((i for i, text in zip(bare, texts, strict=True) if not isinstance(text, str)), None)
    if missing is not None:
        raise InputError(
            f"point {points[missing].id} has neither a vector nor a text at {text_path!r}", where=f"$.points[{missing}]"
        )
    if embed is None:
        raise UnavailableError(
            "the points have texts and no vectors, and there is no model to embed them",
            cure="start a server with an embedding model (`hekla up`), or make the collection without a dense vector",
        )
    vectors = embed([str(text) for text in texts])
    if len(vectors) != len(bare):
        raise UnavailableError(f"the model gave {len(vectors)} vectors for {len(bare)} texts")
    filled = list(points)
    for i, vector in zip(bare, vectors, strict=True):
        filled[i] = replace(points[i], vectors={**points[i].vectors, into: vector})
    return filled
