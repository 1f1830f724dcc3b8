"""JSON, one point a line: {"id": 7, "vector": [0.1, ...], "payload": {...}}.

`vector` is a list of numbers, or an object of named ones; a sparse one is {"indices": [...], "values": [...]}. `id` may
be missing: numbers are counted on. Without `payload`, all other keys are the payload. Lines without a vector are points
without one, which an embedding model may fill in.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from hekla.base.errors import quoted
from hekla.vector.errors import PointError
from hekla.vector.importing.source import Names, Unnumbered
from hekla.vector.point import Point, SparseVector, Vector, read_id


class JsonlSource:
    """A file of lines. Errors: PointError naming the line."""

    def __init__(self, path: Path, names: Names) -> None:
        self._path, self._names = path, names
        self._vector = names.vector or "vector"
        self.total, self.done = path.stat().st_size, 0

    def chunks(self, points: int) -> Iterator[Unnumbered | list[Point]]:
        """Yield the points; a chunk's ids are all given or all missing."""
        made: list[Point] = []
        has_ids = True
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                self.done += len(line)
                if not line.strip():
                    continue
                document = self._document(line, number)
                has_id = self._names.id in document
                if made and (has_id != has_ids or len(made) == points):
                    yield made if has_ids else Unnumbered(made)
                    made = []
                has_ids = has_id
                made.append(self._point(document, f"{self._path}:{number}"))
        if made:
            yield made if has_ids else Unnumbered(made)

    def _document(self, line: bytes, number: int) -> dict[str, Any]:  # Any: JSON
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise PointError(f"is no JSON: {error}", where=f"{self._path}:{number}") from error
        if not isinstance(document, dict):
            raise PointError("is no JSON object", where=f"{self._path}:{number}")
        return document

    def _point(self, document: dict[str, Any], where: str) -> Point:  # Any: JSON
        id_ = read_id(document.pop(self._names.id, 0), f"{where}: {self._names.id}")
        given = document.pop(self._vector, None)
        payload = document
        if "payload" in document:
            payload = document.pop("payload")
            if document:
                raise PointError(f"has `payload` and {quoted(next(iter(document)))} beside it", where=where)
            if not isinstance(payload, dict):
                raise PointError("is no JSON object", where=f"{where}: payload")
        return Point(id_, self._vectors(given, where), payload)

    def _vectors(self, given: Any, where: str) -> dict[str, Vector]:  # Any: JSON
        if given is None:
            return {}
        if isinstance(given, list):
            return {self._names.into: given}
        if not isinstance(given, dict):
            raise PointError("expected a list of numbers, or an object of such", where=f"{where}: {self._vector}")
        if given.keys() == {"indices", "values"}:
            given = {self._names.into: given}
        return {name: _sparse(value, where) if isinstance(value, dict) else value for name, value in given.items()}


def _sparse(value: dict[str, Any], where: str) -> SparseVector:  # Any: JSON
    try:
        indices, values = np.asarray(value["indices"]), np.asarray(value["values"], np.float32)
    except (KeyError, ValueError, TypeError) as error:
        raise PointError(f"a sparse vector has `indices` and `values`: {error}", where=where) from error
    return SparseVector(indices, values)
