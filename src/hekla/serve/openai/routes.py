"""The routes under /v1."""

import orjson

from hekla.base.errors import HeklaError, InputError, NotFoundError, nearest_name
from hekla.serve.http.coding import encode_body
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.router import Router
from hekla.serve.openai.embeddings import TASK, decode_embeddings, encode_embeddings, infer_request
from hekla.serve.openai.errors import tell_error
from hekla.serve.request import InferResponse
from hekla.serve.service import Json, Service


class OpenAIRoutes:
    """Adds the OpenAI API's routes to a router."""

    def __init__(self, service: Service, started_unix_s: int) -> None:
        self._service, self._started_unix_s = service, started_unix_s

    def add_to(self, router: Router) -> None:
        """Add every route, and OpenAI's form of errors under /v1."""
        self._router = router
        router.family("/v1/", tell_error)
        router.add("GET", "/v1/models", self._models)
        router.add("GET", "/v1/models/{model}", self._model)
        router.add("POST", "/v1/embeddings", self._embeddings)

    def _models(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        names = {row["name"] for row in self._service.repository_index(ready_only=True)}
        names |= set(self._adapters())
        exchange.respond(_json({"object": "list", "data": [self._described(name) for name in sorted(names)]}))

    def _model(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        names = {row["name"] for row in self._service.repository_index()} | set(self._adapters())
        if parameters[0] not in names:
            raise NotFoundError(f"the model {parameters[0]!r} does not exist", cure=nearest_name(parameters[0], names))
        exchange.respond(_json(self._described(parameters[0])))

    def _described(self, name: str) -> Json:
        document = {"id": name, "object": "model", "created": self._started_unix_s, "owned_by": "hekla"}
        base, _, adapter = name.partition(":")
        for model in self._service.text_models():
            if model.name == base:
                document["max_model_len"] = model.info.context_tokens  # as vLLM has it
                if adapter:
                    document |= {"root": base, "parent": base}
        return document

    def _adapters(self) -> list[str]:
        """Return the names under which adapters are asked for: "model:adapter"."""
        models = self._service.text_models()
        return [f"{model.name}:{adapter}" for model in models for adapter in model.runner.status.adapters]

    def _embeddings(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asked = decode_embeddings(exchange)
        task = self._service.model_metadata(asked.model)["parameters"]["task"]
        if task != TASK:
            raise InputError(f"the model {asked.model!r} does not make embeddings", where="$.model")

        def done(answer: InferResponse | HeklaError) -> None:
            try:
                if isinstance(answer, HeklaError):
                    raise answer
                response = encode_embeddings(asked, answer)
            except Exception as error:  # noqa: BLE001  # the request boundary
                self._router.abort(exchange, error)
                return
            exchange.respond(encode_body(response, exchange.headers.get(b"accept-encoding", b"")))

        exchange.on_disconnect = self._service.infer(infer_request(asked, exchange), done).cancel


def _json(document: object) -> Response:
    return Response(200, (orjson.dumps(document),))
