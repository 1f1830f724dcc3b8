"""`hekla chat`: talk to a language model in the terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.cli.options import DEFAULT_URL, Url
from hekla.cli.screen import AsJson, printable, write_json

if TYPE_CHECKING:
    from hekla.cli.chat_session import Answered, Session

Model = Annotated[str, typer.Argument(help="The model's name, or name:adapter; the first that can chat if left out.")]
System = Annotated[str, typer.Option("--system", help="Instructions the model reads first.", show_default=False)]
Once = Annotated[
    str,
    typer.Option("--once", help="Ask this, show the answer, and end; - reads standard input.", show_default=False),
]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=1, help="The longest answer; what the context holds if left out.")
]
Temperature = Annotated[
    float, typer.Option("--temperature", min=0, max=2, help="0: always the likeliest; 1: as the model learnt it.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same answers.", show_default=False)]

_HELP = """\
/system TEXT   set the instructions; without text, show them
/model NAME    talk to another model; without a name, list them
/reset         forget what was said
/history       show what was said
/help          show this
/quit          end, as Ctrl-D does; Ctrl-C stops an answer"""
_PROMPT = "> "


def chat(
    model: Model = "",
    system: System = "",
    once: Once = "",
    max_tokens: MaxTokens = None,  # type: ignore[assignment]  # typer's way to say: left out
    temperature: Temperature = 0.6,  # small models ramble at 1
    seed: Seed = None,  # type: ignore[assignment]  # as above
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Talk to a language model of a running server; answers are shown as they are written.

    The conversation is kept until /reset; /help lists what else can be typed. With --json each answer is one JSON
    document on a line.

    Examples:

        hekla chat

        hekla chat smollm2 --system "Answer in one sentence."

        hekla chat --once "Why is the sky blue?" --json

        cat question.txt | hekla chat --once -
    """
    from hekla.cli.chat_session import Session, choose_model
    from hekla.cli.client import ServerClient

    given = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    options = {key: value for key, value in given.items() if value is not None}
    with ServerClient(url) as client:
        session = Session(client, choose_model(client, model), system, options)
        if once:
            _answer(session, sys.stdin.read() if once == "-" else once, as_json=as_json, with_speed=False)
            return
        _talk(session, as_json=as_json)


def _talk(session: "Session", *, as_json: bool) -> None:
    """Answer line by line until the end of the input."""
    is_person = sys.stdin.isatty() and not as_json
    if is_person:
        with contextlib.suppress(ImportError):  # not on every system: then lines are typed without editing
            import readline  # noqa: F401 - importing it lets `input` edit lines and recall them
        typer.echo(f"{session.model}: /help says what can be typed, Ctrl-D ends.")
    for line in _lines(_PROMPT if is_person else ""):
        text = line.strip()
        if text in ("/quit", "/exit"):
            return
        if text.startswith("/"):
            _obey(session, text)
        elif text:
            _answer(session, text, as_json=as_json, with_speed=is_person)


def _lines(prompt: str) -> Iterator[str]:
    """Yield what is typed. Ctrl-C forgets the line, Ctrl-D ends."""
    while True:
        try:
            yield input(prompt)
        except EOFError:
            if prompt:
                typer.echo()
            return
        except KeyboardInterrupt:
            if not prompt:
                raise
            typer.echo()


def _answer(session: "Session", text: str, *, as_json: bool, with_speed: bool) -> None:
    """Show an answer as it comes. Whoever talks is told what went wrong and may go on; --once and pipes fail."""
    from hekla.base.errors import HeklaError

    shown = ""
    try:
        for piece in session.ask(text):
            shown = printable(piece)
            if not as_json:
                typer.echo(shown, nl=False)
                sys.stdout.flush()
    except KeyboardInterrupt:
        if not with_speed:
            raise
        shown = "\n"
        typer.echo(" [stopped]")
    except HeklaError as error:
        if not with_speed:
            raise
        typer.echo(typer.style(f"error: {error}", fg=typer.colors.RED), err=True)
        return
    answered = session.last
    assert answered is not None
    if as_json:
        write_json(answered.document())
        return
    if not shown.endswith("\n"):
        typer.echo()
    if with_speed and answered.tokens:
        typer.echo(typer.style(_speed(answered), dim=True))


def _speed(answered: "Answered") -> str:
    cached = f", {answered.cached_tokens} of them kept" if answered.cached_tokens else ""
    first_ms = answered.first_s * 1e3
    return (
        f"[{answered.tokens} tokens, {answered.tokens_per_s:.1f} tokens/s, first after {first_ms:.0f} ms; "
        f"{answered.prompt_tokens} read{cached}]"
    )


def _obey(session: "Session", line: str) -> None:
    from hekla.base.errors import nearest_name

    word, _, rest = line.partition(" ")
    commands: Mapping[str, Callable[[Session, str], None]] = {
        "/system": _set_system,
        "/model": _set_model,
        "/reset": _reset,
        "/history": _show_history,
        "/help": lambda session, rest: typer.echo(_HELP),
    }
    command = commands.get(word)
    if command is None:
        typer.echo(f"no command {word}; {nearest_name(word, [*commands, '/quit'])}", err=True)
    else:
        command(session, rest.strip())


def _set_system(session: "Session", text: str) -> None:
    if text:
        session.system = text
    typer.echo(f"instructions: {session.system or '(none)'}")


def _set_model(session: "Session", name: str) -> None:
    from hekla.base.errors import HeklaError
    from hekla.cli.chat_session import chat_models, choose_model

    if not name:
        typer.echo("\n".join(chat_models(session.client)))
        return
    try:
        session.model = choose_model(session.client, name)
    except HeklaError as error:
        typer.echo(f"error: {error}", err=True)


def _reset(session: "Session", rest: str) -> None:
    session.reset()
    typer.echo("forgotten")


def _show_history(session: "Session", rest: str) -> None:
    for message in session.messages:
        typer.echo(f"{message['role']}: {printable(message['content'])}")
