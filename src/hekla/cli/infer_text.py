"""`hekla infer` for models that write text: a chat model answers, another one goes on with the text."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from hekla.base.errors import InputError
from hekla.cli.chat_session import Session
from hekla.cli.client import Json, ServerClient
from hekla.cli.screen import printable, write_json

if TYPE_CHECKING:
    from hekla.cli.infer_input import Given

_MAX_TOKENS = 256  # of a text that is gone on with: nothing else may end it


def write_texts(client: ServerClient, model: str, task: str, given: "Sequence[Given]", *, as_json: bool) -> None:
    """Show what the model writes to each text, as it comes. Errors: as `ServerClient.stream`; InputError."""
    documents: list[Json] = []
    for item in given:
        try:
            text = item.content.decode()
        except UnicodeDecodeError:
            raise InputError("is not UTF-8", where=item.name or "INPUT", cure="the model reads text") from None
        written = ""
        for piece in _answer(client, model, text) if task == "chat" else _continuation(client, model, text):
            written += piece
            if not as_json:
                typer.echo(printable(piece), nl=False)
                sys.stdout.flush()
        if not as_json:
            typer.echo()
        documents.append({"model": model, "input": text, "text": written})
    if as_json:
        write_json(documents if len(documents) > 1 else documents[0])


def _answer(client: ServerClient, model: str, text: str) -> Iterator[str]:
    yield from Session(client, model).ask(text)


def _continuation(client: ServerClient, model: str, text: str) -> Iterator[str]:
    body = {"model": model, "prompt": text, "max_tokens": _MAX_TOKENS, "stream": True}
    for document in client.stream("/v1/completions", body):
        for choice in document.get("choices") or ():
            if choice["text"]:
                yield choice["text"]
