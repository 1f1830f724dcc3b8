"""Errors as OpenAI's clients read them."""

import orjson

from hekla.base.errors import HeklaError, NotFoundError
from hekla.serve.http.message import Response
from hekla.serve.status import status_of


def tell_error(error: HeklaError) -> Response:
    """Return an error as {"error": {"message", "type", "param", "code"}}."""
    status = status_of(error)
    param = error.where.removeprefix("$.") if error.where.startswith("$.") else None
    code = "model_not_found" if isinstance(error, NotFoundError) and param in ("model", None) else None
    document = {"error": {"message": str(error), "type": status.openai, "param": param, "code": code}}
    return Response(status.http, (orjson.dumps(document),))
