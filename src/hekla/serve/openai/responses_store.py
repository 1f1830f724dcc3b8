"""Answers of `/v1/responses` that a next question may go on from: in memory, the oldest forgotten first."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from hekla.base.errors import NotFoundError
from hekla.serve.openai.fields import Json

MOST = 1024
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer: its document, and the conversation up to and with it."""

    document: Json
    messages: Sequence[Json]
    size_bytes: int


class ResponsesStore:
    """Lives on the event loop; gone when the server stops."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0

    def keep(self, document: Json, messages: Sequence[Json]) -> None:
        """Keep an answer under its id."""
        size = len(orjson.dumps(messages)) + len(orjson.dumps(document))
        if size > MOST_BYTES // 4:
            return
        self._kept[document["id"]] = Stored(document, messages, size)
        self._bytes += size
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size_bytes

    def find(self, response_id: str, where: str = "$.response_id") -> Stored:
        """Return an answer. Errors: NotFoundError."""
        stored = self._kept.get(response_id)
        if stored is None:
            raise NotFoundError(
                f"no response {response_id[:100]!r} is kept",
                where=where,
                cure="the server keeps the latest until it stops: send the conversation in input",
            )
        self._kept.move_to_end(response_id)
        return stored

    def messages(self, response_id: str) -> Sequence[Json]:
        """Return the conversation up to and with an answer. Errors: NotFoundError."""
        return self.find(response_id, "$.previous_response_id").messages

    def delete(self, response_id: str) -> None:
        """Forget an answer. Errors: NotFoundError."""
        self._bytes -= self.find(response_id).size_bytes
        del self._kept[response_id]
