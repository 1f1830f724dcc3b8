"""Lends the server's embedding models to interfaces: `ApiServices.embed`."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import EngineError, HeklaError, InputError
from hekla.protocols.tensor import Array
from hekla.serve.openai.embeddings import TASK
from hekla.serve.request import InferRequest, InferResponse
from hekla.serve.service import Service

_AT_ONCE = 64  # texts of one request to the model: what the batcher surely takes


class Embedding:
    """Asks models from any thread but the loop's. Made on the loop."""

    def __init__(self, service: Service) -> None:
        self._service, self._loop = service, asyncio.get_running_loop()

    def embed(self, model: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors (n, dimensions). Waits. Errors: InputError, NotFoundError, and the model's."""
        if not all(texts):
            raise InputError("a text is empty", where="$.text")
        parts = [self._part(model, texts[first : first + _AT_ONCE]) for first in range(0, len(texts), _AT_ONCE)]
        return np.concatenate(parts)

    def _part(self, model: str, texts: Sequence[str]) -> NDArray[np.float32]:
        encoded: Array = np.empty(len(texts), np.object_)
        try:
            encoded[:] = [text.encode() for text in texts]
        except UnicodeEncodeError:
            raise InputError("is not valid Unicode text", where="$.text") from None
        answer: Future[InferResponse | HeklaError] = Future()
        self._loop.call_soon_threadsafe(
            self._ask, InferRequest(model, {"text": encoded}, outputs=("embedding",)), answer
        )
        found = answer.result()
        if isinstance(found, HeklaError):
            raise found
        vectors = found.outputs["embedding"]
        if not np.isfinite(vectors).all():
            raise EngineError("holds NaN or infinity", where="output 'embedding'")
        return vectors.astype(np.float32)

    def _ask(self, request: InferRequest, answer: "Future[InferResponse | HeklaError]") -> None:
        try:
            if self._service.model_metadata(request.model)["parameters"]["task"] != TASK:
                raise InputError(f"the model {request.model!r} does not make embeddings", where="$.model")
            self._service.infer(request, answer.set_result)
        except HeklaError as error:
            answer.set_result(error)
        except Exception as error:  # noqa: BLE001  # a boundary: the thread that waits hears of it
            answer.set_exception(error)
