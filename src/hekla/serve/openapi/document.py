"""`GET /openapi.json`: every operation with what it takes, what it answers, and how it refuses."""

from collections.abc import Sequence

from hekla.serve.openapi.schemas import SCHEMAS, Json, ref
from hekla.serve.openapi.text_schemas import TEXT_SCHEMAS

PATH = "/openapi.json"
_OIP, _CONTROL, _MEMORY, _OPENAI, _SERVER = "inference", "repository", "shared memory", "openai", "server"
_V1, _V2 = "/v1", "/v2"
_MODEL, _VERSION = f"{_V2}/models/{{model}}", f"{_V2}/models/{{model}}/versions/{{version}}"
_NO_REQUEST = (404, 405, 500)
_REQUEST = (400, 404, 405, 413, 500, 501)
_INFER = (400, 404, 405, 409, 413, 429, 499, 500, 501, 503, 504)
_WORDS = {
    400: "The request is wrong; the error says where and what to do.",
    404: "There is no such model, version, region or path.",
    405: "The path does not take this method; `Allow` names those it does.",
    409: "The name is taken.",
    413: "Over a limit that the error states.",
    429: "The model's queue is full; nothing was computed. `Retry-After` says when to come back.",
    499: "The client went away.",
    500: "An engine failed, or a model's own files are wrong.",
    501: "Asked for something this server does not do.",
    503: "Known, but not ready.",
    504: "The request's time was over.",
}


def openapi_document(version: str) -> Json:
    """Return the OpenAPI 3.1 document of a server of this version."""
    paths: dict[str, Json] = {}
    for path, method, operation in _operations():
        paths.setdefault(path, {"parameters": _path_parameters(path)})[method] = operation
    for item in paths.values():
        if not item["parameters"]:
            del item["parameters"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hekla",
            "version": version or "0",
            "description": "The Open Inference Protocol v2 over REST with Triton's extensions, and OpenAI's API "
            "for chats, completions, responses and embeddings. The same inference over gRPC is in the protocol's own "
            "proto file.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in (_OIP, _CONTROL, _MEMORY, _OPENAI, _SERVER)],
        "paths": paths,
        "components": {"schemas": {**SCHEMAS, **TEXT_SCHEMAS}},
    }


def _operations() -> list[tuple[str, str, Json]]:
    return [*_server(), *_models(), *_repository(), *_shared_memory(), *_openai(), *_texts()]


def _server() -> list[tuple[str, str, Json]]:
    rows = [
        (_V2, "get", _operation(_SERVER, "Describe the server", "ServerMetadata")),
        (f"{_V2}/health/live", "get", _operation(_SERVER, "Is it alive?", "Live")),
        (f"{_V2}/health/ready", "get", _ready(_operation(_SERVER, "Is it ready?", "Ready"), "Ready")),
        ("/metrics", "get", _operation(_SERVER, "Metrics in Prometheus's form", text=True)),
        (PATH, "get", _operation(_SERVER, "This document", "Settings")),
    ]
    for path, what in (
        (f"{_V2}/trace/setting", "trace"),
        (f"{_MODEL}/trace/setting", "trace"),
        (f"{_V2}/logging", "log"),
    ):
        rows.append((path, "get", _operation(_SERVER, f"The {what} settings", "Settings")))
        change = _operation(_SERVER, f"Refuse to change the {what} settings", "Settings", takes="Settings")
        rows.append((path, "post", change))
    return rows


def _models() -> list[tuple[str, str, Json]]:
    rows: list[tuple[str, str, Json]] = []
    for prefix in (_MODEL, _VERSION):
        rows += [
            (prefix, "get", _operation(_OIP, "Describe a model", "ModelMetadata", refusals=(*_NO_REQUEST, 503))),
            (f"{prefix}/ready", "get", _ready(_operation(_OIP, "Is a model ready?", "ModelReady"), "ModelReady")),
            (
                f"{prefix}/config",
                "get",
                _operation(_OIP, "A model's configuration", "ModelConfig", refusals=(*_NO_REQUEST, 503)),
            ),
            (
                f"{prefix}/stats",
                "get",
                _operation(_OIP, "A model's statistics", "Statistics", refusals=(*_NO_REQUEST, 503)),
            ),
            (f"{prefix}/infer", "post", _infer()),
        ]
    rows.append((f"{_V2}/models/stats", "get", _operation(_OIP, "Every model's statistics", "Statistics")))
    return rows


def _repository() -> list[tuple[str, str, Json]]:
    model = f"{_V2}/repository/models/{{model}}"
    refusals = (*_REQUEST, 409, 503, 504)
    return [
        (f"{_V2}/repository/index", "post", _operation(_CONTROL, "List the models", "Index", takes="IndexRequest")),
        (
            f"{model}/unload",
            "post",
            _operation(_CONTROL, "Stop serving a model", "Empty", takes="UnloadRequest", refusals=refusals),
        ),
        (
            f"{model}/load",
            "post",
            _operation(_CONTROL, "Serve a model, or read it again", "Empty", takes="LoadRequest", refusals=refusals),
        ),
    ]


def _shared_memory() -> list[tuple[str, str, Json]]:
    rows: list[tuple[str, str, Json]] = []
    for kind in ("system", "cuda"):
        base = f"{_V2}/{kind}sharedmemory"
        region = f"{base}/region/{{region}}"
        register = _operation(
            _MEMORY,
            "Register a region" if kind == "system" else "Refuse: device memory is not shared",
            "Empty",
            takes="RegisterRegion" if kind == "system" else "Settings",
            refusals=(*_REQUEST, 409),
        )
        rows += [
            (f"{base}/status", "get", _operation(_MEMORY, f"The {kind} regions registered", "Regions")),
            (f"{region}/status", "get", _operation(_MEMORY, "One of them", "Regions")),
            (f"{region}/register", "post", register),
            (f"{region}/unregister", "post", _operation(_MEMORY, "Forget a region", "Empty")),
            (f"{base}/unregister", "post", _operation(_MEMORY, "Forget every region", "Empty")),
        ]
    return rows


def _openai() -> list[tuple[str, str, Json]]:
    embeddings = _operation(
        _OPENAI, "Texts to vectors", "Embeddings", takes="EmbeddingsRequest", refusals=_INFER, required=True
    )
    return [
        (f"{_V1}/models", "get", _operation(_OPENAI, "List the models", "OpenAIModels")),
        (f"{_V1}/models/{{model}}", "get", _operation(_OPENAI, "Describe a model", "OpenAIModel")),
        (f"{_V1}/embeddings", "post", embeddings),
    ]


def _texts() -> list[tuple[str, str, Json]]:
    rows: list[tuple[str, str, Json]] = []
    for path, summary, takes, answers in (
        ("/v1/chat/completions", "Answer a chat", "ChatRequest", "Chat"),
        ("/v1/completions", "Go on with a text", "CompletionRequest", "Completion"),
        ("/v1/responses", "Answer, and keep the answer", "ResponsesRequest", "ResponsesAnswer"),
    ):
        operation = _operation(_OPENAI, summary, answers, takes=takes, refusals=_INFER, required=True)
        events: Json = {"schema": {"type": "string", "description": "server-sent events"}}
        operation["responses"]["200"]["content"]["text/event-stream"] = events
        rows.append((path, "post", operation))
    for path, summary, takes, answers in (
        ("/tokenize", "Text or a chat to tokens", "TokenizeRequest", "Tokenized"),
        ("/detokenize", "Tokens to text", "DetokenizeRequest", "Detokenized"),
        ("/v1/load_lora_adapter", "Load a LoRA adapter", "LoadAdapterRequest", "Adapters"),
        ("/v1/unload_lora_adapter", "Forget a LoRA adapter", "UnloadAdapterRequest", "Adapters"),
    ):
        operation = _operation(_OPENAI, summary, answers, takes=takes, refusals=(*_REQUEST, 409, 503), required=True)
        rows.append((path, "post", operation))
    response = f"{_V1}/responses/{{response}}"
    return [
        *rows,
        (response, "get", _operation(_OPENAI, "An answer that was kept", "ResponsesAnswer")),
        (response, "delete", _operation(_OPENAI, "Forget an answer", "DeletedResponse")),
        ("/sla", "get", _operation(_SERVER, "What readers of text wait for, graded", "SlaBoard")),
    ]


def _infer() -> Json:
    operation = _operation(_OIP, "Run a model", "InferResponse", takes="InferRequest", refusals=_INFER, required=True)
    binary: Json = {"schema": {"type": "string", "format": "binary"}}
    operation["description"] = (
        "Tensors are JSON `data`, or follow the JSON document as raw bytes (row-major, little-endian) in the order of "
        "the inputs; then `Inference-Header-Content-Length` says where the JSON ends. Outputs asked for as "
        "`binary_data` are answered in the same way."
    )
    operation["responses"]["200"]["content"]["application/octet-stream"] = binary
    operation["responses"]["200"]["headers"] = {
        "inference-header-content-length": {
            "description": "where the JSON of an answer with binary tensors ends",
            "schema": {"type": "integer"},
        }
    }
    return operation


def _operation(
    tag: str,
    summary: str,
    answers: str = "",
    *,
    takes: str = "",
    text: bool = False,
    refusals: Sequence[int] = (),
    required: bool = False,
) -> Json:
    content = {"text/plain": {"schema": {"type": "string"}}} if text else _json(answers)
    responses: Json = {"200": {"description": summary, "content": content}}
    for status in (400, *sorted({*(refusals or (_REQUEST if takes else _NO_REQUEST))} - {400})):
        responses[str(status)] = _refusal(tag, status)
    operation: Json = {"tags": [tag], "summary": summary, "responses": responses}
    if takes:
        operation["requestBody"] = {"required": required, "content": _json(takes)}
    return operation


def _ready(operation: Json, answers: str) -> Json:
    """What is not ready is told in the same words as what is."""
    operation["responses"]["503"] = {"description": _WORDS[503], "content": _json(answers)}
    return operation


def _refusal(tag: str, status: int) -> Json:
    response: Json = {"description": _WORDS[status], "content": _json("OpenAIError" if tag == _OPENAI else "Error")}
    if status == 429:
        response["headers"] = {"retry-after": {"description": "seconds", "schema": {"type": "integer"}}}
    return response


def _json(name: str) -> Json:
    return {"application/json": {"schema": ref(name)}}


def _path_parameters(path: str) -> list[Json]:
    names = [segment.strip("{}") for segment in path.split("/") if segment.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]
