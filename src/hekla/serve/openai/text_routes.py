"""The routes of models that write text."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace

import orjson

from hekla.base.errors import InputError, NotFoundError, nearest_name
from hekla.protocols.text_engine import ReplyParser
from hekla.serve.http.coding import encode_body
from hekla.serve.http.message import Exchange, Response
from hekla.serve.http.router import Router
from hekla.serve.openai.chat_answer import ChatForm
from hekla.serve.openai.chat_request import read_chat, read_model
from hekla.serve.openai.completions import CompletionForm, read_completion
from hekla.serve.openai.draft import Draft
from hekla.serve.openai.errors import tell_error
from hekla.serve.openai.fields import Fields, Json, read_body
from hekla.serve.openai.reply import Form, TextReply
from hekla.serve.openai.responses_answer import ResponsesForm
from hekla.serve.openai.responses_request import read_responses
from hekla.serve.openai.responses_store import ResponsesStore
from hekla.serve.openai.tokens import detokenized, read_detokenize, read_tokenize, tokenized
from hekla.serve.service import Service
from hekla.serve.text.model import TextModel
from hekla.serve.text.sla import board
from hekla.serve.text.wish import TextWish


class TextRoutes:
    """Adds chats, completions, responses, tokens and the board to a router."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = ResponsesStore()
        self._tasks: set[asyncio.Task[Response]] = set()

    def add_to(self, router: Router) -> None:
        """Add every route."""
        self._router = router
        router.family("/tokenize", tell_error)
        router.family("/detokenize", tell_error)
        router.add("POST", "/v1/chat/completions", self._chat)
        router.add("POST", "/v1/completions", self._completion)
        router.add("POST", "/v1/responses", self._responses)
        router.add("GET", "/v1/responses/{response}", self._response)
        router.add("DELETE", "/v1/responses/{response}", self._delete_response)
        router.add("POST", "/tokenize", self._tokenize)
        router.add("POST", "/detokenize", self._detokenize)
        router.add("POST", "/v1/load_lora_adapter", self._load_adapter)
        router.add("POST", "/v1/unload_lora_adapter", self._unload_adapter)
        router.add("GET", "/sla", self._board)

    def _chat(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asked = read_chat(exchange)
        model, adapter = self._model(asked.model)
        answers = asked.wish.answers
        form = ChatForm(asked, model.engine, int(time.time()))
        parsers = [model.engine.reply_parser(asked.tools) if asked.tools else None for _ in range(answers)]
        self._start(exchange, model, adapter, asked.wish, form, parsers, asked.is_stream, asked.may_call_once)

    def _completion(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asked = read_completion(exchange)
        model, adapter = self._model(asked.model)
        form = CompletionForm(asked, model.engine, int(time.time()))
        parsers = [None] * (len(asked.wish.prompts) * asked.wish.answers)
        self._start(exchange, model, adapter, asked.wish, form, parsers, asked.is_stream)

    def _responses(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asked = read_responses(exchange, self._store.messages)
        model, adapter = self._model(asked.model)
        chosen = model.meant(asked.wish).sampling
        asked = replace(asked, asked={**asked.asked, "temperature": chosen.temperature, "top_p": chosen.top_p})
        form = ResponsesForm(asked, model.engine, int(time.time()), self._store.keep)
        parsers = [model.engine.reply_parser(asked.tools) if asked.tools else None]
        self._start(exchange, model, adapter, asked.wish, form, parsers, asked.is_stream, asked.may_call_once)

    def _response(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        _answer(exchange, self._store.find(parameters[0]).document)

    def _delete_response(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        self._store.delete(parameters[0])
        _answer(exchange, {"id": parameters[0], "object": "response", "deleted": True})

    def _tokenize(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        fields = read_tokenize(exchange)
        model, _ = self._model(str(fields.raw("model")))
        _answer(exchange, tokenized(fields, model.engine))

    def _detokenize(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        name, tokens = read_detokenize(exchange)
        model, _ = self._model(name)
        _answer(exchange, detokenized(tokens, model.engine))

    def _load_adapter(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asked = read_adapter(exchange, ("model", "lora_name", "lora_path"))
        model = self._one_model(asked)
        name, folder = asked.needed_text("lora_name", "a name"), asked.needed_text("lora_path", "a folder")
        self._keep(exchange.run(self._changed(model.adapters.load(name, folder), model, name)))

    def _unload_adapter(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        asked = read_adapter(exchange, ("model", "lora_name"))
        model = self._one_model(asked)
        name = asked.needed_text("lora_name", "a name")
        self._keep(exchange.run(self._changed(model.adapters.unload(name), model, name)))

    async def _changed(self, change: Coroutine[None, None, None], model: TextModel, name: str) -> Response:
        await change
        adapters = list(model.runner.status.adapters)
        return Response(200, (orjson.dumps({"id": f"{model.name}:{name}", "adapters": adapters}),))

    def _keep(self, task: asyncio.Task[Response]) -> None:
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    def _one_model(self, asked: Fields) -> TextModel:
        """Return the model named, or the only one there is, as vLLM has it."""
        if asked.has("model"):
            return self._model(read_model(asked))[0]
        models = self._service.text_models()
        if len(models) != 1:
            names = ", ".join(sorted({model.name for model in models})) or "none"
            raise asked.error("model", "must be the name of a model", f"these write text: {names}")
        return models[0]

    def _board(self, exchange: Exchange, parameters: tuple[str, ...]) -> None:
        _answer(exchange, {"models": board(self._service.text_models())})

    def _start(
        self,
        exchange: Exchange,
        model: TextModel,
        adapter: str,
        wish: TextWish,
        form: Form,
        parsers: Sequence[ReplyParser | None],
        is_stream: bool,
        may_call_once: bool = False,
    ) -> None:
        drafts = [Draft(index, parser, may_call_once=may_call_once) for index, parser in enumerate(parsers)]
        reply = TextReply(exchange, self._router, form, drafts, is_stream)
        reply.follow(model.start(_with_adapter(wish, adapter), reply))

    def _model(self, name: str) -> tuple[TextModel, str]:
        """Return a model and the adapter its name asks for: "model:adapter"."""
        base, _, adapter = name.partition(":")
        try:
            model = self._service.text(base)
        except NotFoundError as error:
            names = {row["name"] for row in self._service.repository_index()}
            raise NotFoundError(
                f"the model {name[:100]!r} does not exist", where="$.model", cure=nearest_name(base, names)
            ) from error
        except InputError as error:
            raise InputError(error.message, where="$.model", cure=error.cure) from error
        if adapter and adapter not in model.runner.status.adapters:
            raise NotFoundError(
                f"the model {base!r} has no adapter {adapter[:100]!r}",
                where="$.model",
                cure=nearest_name(adapter, model.runner.status.adapters),
            )
        return model, adapter


def read_adapter(exchange: Exchange, known: Sequence[str]) -> Fields:
    """Return the request in a body. Errors: InputError with the JSON path."""
    return Fields(read_body(exchange.body), "$", known)


def _with_adapter(wish: TextWish, adapter: str) -> TextWish:
    return replace(wish, adapter=adapter) if adapter else wish


def _answer(exchange: Exchange, document: Json) -> None:
    response = Response(200, (orjson.dumps(document),))
    exchange.respond(encode_body(response, exchange.headers.get(b"accept-encoding", b"")))
