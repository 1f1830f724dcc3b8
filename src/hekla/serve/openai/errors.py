"""Errors as OpenAI's clients read them."""

from typing import Any

import orjson

from hekla.base.errors import HeklaError, NotFoundError
from hekla.serve.http.message import Response
from hekla.serve.status import status_of
from hekla.serve.text.prepare import ContextError


def tell_error(error: HeklaError) -> Response:
    """Return an error as {"error": {"message", "type", "param", "code"}}."""
    return Response(status_of(error).http, (orjson.dumps(error_document(error)),))


def error_document(error: HeklaError) -> dict[str, Any]:  # Any: JSON
    """Return the document of an error."""
    param = error.where.removeprefix("$.") if error.where.startswith("$.") else None
    code = None
    if isinstance(error, ContextError):
        code = "context_length_exceeded"
    elif isinstance(error, NotFoundError) and param in ("model", None):
        code = "model_not_found"
    return {"error": {"message": str(error), "type": status_of(error).openai, "param": param, "code": code}}
