"""The REST routes as OpenAPI paths."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hekla.protocols.api import Route
from hekla.vector.doors.openapi_bodies import body_of

Json = dict[str, Any]  # Any: JSON
_TAG = "vectors"
_REFUSALS = {
    400: "The request is wrong; the error says where and what to do.",
    401: "No key came, or an unknown one.",
    403: "The key is not good for this.",
    404: "There is no such collection, point, snapshot or path.",
    405: "The path does not take this method; `Allow` names those it does.",
    409: "The name or id is taken.",
    413: "Over a limit that the error states.",
    429: "Too many requests wait; nothing was done.",
    499: "The client went away.",
    500: "A fault of the server.",
    501: "Asked for something this server does not do.",
    503: "The disk refused, or the collection is damaged.",
    504: "The request's time was over.",
}
_WORDS = {"GET": "Read", "PUT": "Put", "POST": "Ask", "PATCH": "Change", "DELETE": "Remove"}


def openapi_of(routes: Sequence[Route]) -> Mapping[str, Any]:  # Any: JSON
    """Return {"paths", "components"} of routes."""
    paths: dict[str, Json] = {}
    for route in routes:
        item = paths.setdefault(route.pattern, {})
        names = re.findall(r"{(\w+)}", route.pattern)
        if names:
            item["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                for name in names
            ]
        item[route.method.lower()] = _operation(route)
    answer = {
        "type": "object",
        "required": ["result", "status", "time"],
        "properties": {"result": {}, "status": {"const": "ok"}, "time": {"type": "number"}},
    }
    failure = {
        "type": "object",
        "required": ["status", "time"],
        "properties": {
            "status": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}},
            },
            "result": {},
            "time": {"type": "number"},
        },
    }
    return {"paths": paths, "components": {"schemas": {"VectorAnswer": answer, "VectorError": failure}}}


def _operation(route: Route) -> Json:
    plain = {"text/plain": {"schema": {"type": "string"}}}
    answer: Json = _content("VectorAnswer")
    if route.pattern in ("/healthz", "/livez", "/readyz"):
        answer = plain
    elif route.pattern == "/":
        answer = {"application/json": {"schema": {"type": "object"}}}
    elif route.pattern.endswith("/snapshots/{snapshot}") and route.method == "GET":
        answer = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    responses: Json = {"200": {"description": "Done", "content": answer}}
    for status, words in _REFUSALS.items():
        responses[str(status)] = {"description": words, "content": _content("VectorError")}
    what = " ".join(part for part in route.pattern.strip("/").split("/") if not part.startswith("{"))
    operation: Json = {"tags": [_TAG], "summary": f"{_WORDS[route.method]}: {what}", "responses": responses}
    if route.method in ("PUT", "POST", "PATCH") and not route.pattern.endswith("/snapshots"):
        body = {"application/json": {"schema": body_of(route.method, route.pattern)}}
        if route.pattern.endswith("/upload"):
            file = {"type": "string", "format": "binary"}
            body = {"multipart/form-data": {"schema": {"type": "object", "properties": {"snapshot": file}}}}
        operation["requestBody"] = {"required": True, "content": body}
    if route.is_write:
        wait = {"type": "boolean", "default": False}
        operation["parameters"] = [{"name": "wait", "in": "query", "required": False, "schema": wait}]
    return operation


def _content(name: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
