"""Texts in requests, turned into vectors by a model of the server: `{"text": ..., "model": ...}`."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.vector.doors.json_fields import Fields, Json

Embed = Callable[[str, Sequence[str]], NDArray[np.float32]]  # (model, texts) -> (n, dimensions)
_KEYS = frozenset({"text", "model", "options"})


class Pending:
    """A text that becomes a vector when `Inference.run` is called."""

    __slots__ = ("_vector",)

    def __init__(self) -> None:
        self._vector: NDArray[np.float32] | None = None

    @property
    def vector(self) -> NDArray[np.float32]:
        """The text's vector (dimensions,)."""
        assert self._vector is not None, "`run` comes first"
        return self._vector

    def become(self, vector: NDArray[np.float32]) -> None:
        """Take the vector."""
        self._vector = vector


class Inference:
    """The texts of one request: gathered first, then each model is asked once. One thread."""

    def __init__(self, embed: Embed, default_model: str = "") -> None:
        self._embed, self._default_model = embed, default_model
        self._texts: dict[str, list[tuple[str, Pending]]] = {}

    def add(self, document: Fields) -> Pending:
        """Note a text. Without `model` it is the server's own. Errors: InputError."""
        text = document.need_text("text")
        model = document.text("model") or self._default_model
        if not model:
            document.need_text("model")
        document.refuse("options")
        document.end()
        pending = Pending()
        self._texts.setdefault(model, []).append((text, pending))
        return pending

    def run(self) -> None:
        """Turn every text noted so far into its vector. Errors: the model's."""
        texts, self._texts = self._texts, {}
        for model, each in texts.items():
            vectors = self._embed(model, [text for text, _ in each])
            for (_, pending), vector in zip(each, vectors, strict=True):
                pending.become(vector)


def is_document(value: Json) -> bool:
    """Return whether a value is a text to turn into a vector."""
    return isinstance(value, dict) and "text" in value and value.keys() <= _KEYS
