"""`POST /v1/embeddings`: texts to vectors, by any model whose task is "embedding".

Such a model takes `text` BYTES [n] and answers `embedding` FP32 [n, dimensions] and `tokens` INT64 [n].
"""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from hekla.base.errors import EngineError, InputError, TooLargeError, nearest_name, quoted
from hekla.protocols.tensor import Array
from hekla.serve.http.message import Exchange, Response
from hekla.serve.oip.rest_request import read_json
from hekla.serve.request import InferRequest, InferResponse

TASK = "embedding"
_KEYS = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
_MAX_TEXTS = 2048  # as OpenAI has it


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """What a client asked for."""

    model: str
    texts: tuple[bytes, ...]
    as_base64: bool
    dimensions: int | None


def decode_embeddings(exchange: Exchange) -> EmbeddingsRequest:
    """Return the request in a body. Errors: InputError with the JSON path; TooLargeError over 2048 texts."""
    document = read_json(exchange.body)
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        name = unknown[0]
        raise InputError(
            f"unrecognized argument {quoted(name)}", where=f"$.{name[:100]}", cure=nearest_name(name, _KEYS)
        )
    model = document.get("model")
    if not isinstance(model, str):
        raise InputError("must be the name of a model", where="$.model", cure="GET /v1/models lists them")
    encoding = document.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise InputError(f"must be 'float' or 'base64', got {quoted(encoding)}", where="$.encoding_format")
    dimensions = document.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1):
        raise InputError(f"must be a whole number of 1 or more, got {quoted(dimensions)}", where="$.dimensions")
    return EmbeddingsRequest(model, _texts(document.get("input")), encoding == "base64", dimensions)


def infer_request(asked: EmbeddingsRequest, exchange: Exchange) -> InferRequest:
    """Return the inference request that answers it."""
    texts: Array = np.empty(len(asked.texts), np.object_)
    texts[:] = asked.texts
    return InferRequest(
        asked.model,
        {"text": texts},
        outputs=("embedding", "tokens"),
        received_s=exchange.received_s,
        request_id=exchange.headers.get(b"x-request-id", b"").decode("latin-1"),
        trace_parent=exchange.headers.get(b"traceparent", b"").decode("latin-1"),
    )


def encode_embeddings(asked: EmbeddingsRequest, answer: InferResponse) -> Response:
    """Return the response.

    Errors: InputError if more dimensions are asked for than the model has; EngineError for a vector with NaN in it.
    """
    vectors = answer.outputs["embedding"]
    if not np.isfinite(vectors).all():
        raise EngineError("holds NaN or infinity", where="output 'embedding'")
    if asked.dimensions is not None:
        vectors = shortened(vectors, asked.dimensions)
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, asked.as_base64)}
        for index, vector in enumerate(vectors)
    ]
    tokens = int(answer.outputs["tokens"].sum())
    document = {
        "object": "list",
        "data": data,
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Response(200, (orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY),))


def shortened(vectors: Array, dimensions: int) -> Array:
    """Return the first `dimensions` of each vector (n, d) f32, made length 1 again, as OpenAI's `dimensions` does."""
    if dimensions > vectors.shape[1]:
        raise InputError(f"the model has {vectors.shape[1]} dimensions, not {dimensions}", where="$.dimensions")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.maximum(lengths, np.finfo(np.float32).tiny))


def _encoded(vector: Array, as_base64: bool) -> object:
    if as_base64:
        return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
    return np.ascontiguousarray(vector)


def _texts(value: object) -> tuple[bytes, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise InputError("must be a text or a list of texts that is not empty", where="$.input")
    if len(value) > _MAX_TEXTS:
        raise TooLargeError("$.input", limit=f"{_MAX_TEXTS} texts", got=str(len(value)), cure="send several requests")
    texts: list[bytes] = []
    for index, text in enumerate(value):
        if isinstance(text, int | list):
            # Not UnsupportedError: its 501 would be tried again and again by OpenAI's client.
            raise InputError(
                "token numbers are another model's vocabulary", where=f"$.input[{index}]", cure="send the text itself"
            )
        if not isinstance(text, str) or not text:
            raise InputError("must be a text that is not empty", where=f"$.input[{index}]")
        try:
            texts.append(text.encode())
        except UnicodeEncodeError:
            raise InputError("is not valid Unicode text", where=f"$.input[{index}]") from None
    return tuple(texts)
