"""The server's description against its routes, and against itself."""

import asyncio
from collections.abc import Iterator

from hekla.serve.http.router import Router
from hekla.serve.loading import Parts
from hekla.serve.model_host import ModelHost
from hekla.serve.oip.rest_response import tell_error
from hekla.serve.oip.rest_routes import RestRoutes
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.openai.routes import OpenAIRoutes
from hekla.serve.openai.text_routes import TextRoutes
from hekla.serve.openapi.document import PATH, openapi_document


def _routed() -> set[tuple[str, str]]:
    async def routes() -> Router:
        host = ModelHost((), Parts({}, {}, 1), None, "hekla", "1")
        router = Router(tell_error)
        RestRoutes(host, SharedMemoryRegions()).add_to(router)
        OpenAIRoutes(host, 0).add_to(router)
        TextRoutes(host).add_to(router)
        return router

    return {(method.lower(), path) for method, path in asyncio.run(routes()).paths}


def _described() -> set[tuple[str, str]]:
    paths = openapi_document("1")["paths"]
    return {(method, path) for path, item in paths.items() for method in item if method != "parameters"}


def test_every_route_is_described_and_every_description_has_a_route() -> None:
    assert _described() == _routed() | {("get", PATH), ("get", "/metrics")}


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix("#/components/schemas/")
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _references(value)


def test_every_schema_is_used_and_every_reference_leads_somewhere() -> None:
    document = openapi_document("1")
    assert set(_references(document)) == set(document["components"]["schemas"])


def test_path_parameters_are_those_in_the_path() -> None:
    for path, item in openapi_document("1")["paths"].items():
        named = {segment.strip("{}") for segment in path.split("/") if segment.startswith("{")}
        assert {parameter["name"] for parameter in item.get("parameters", ())} == named, path


def test_what_needs_a_body_says_so() -> None:
    paths = openapi_document("1")["paths"]
    needed = {
        path for path, item in paths.items() if item.get("post", {}).get("requestBody", {}).get("required") is True
    }
    assert needed == {
        "/v2/models/{model}/infer",
        "/v2/models/{model}/versions/{version}/infer",
        "/v1/embeddings",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/tokenize",
        "/detokenize",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
    }
