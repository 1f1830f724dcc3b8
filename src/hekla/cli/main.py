"""The `hekla` command. Sub-commands import what they need when they run, so that each starts fast."""

import gc
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from hekla import __version__
from hekla.base.errors import HeklaError
from hekla.cli import bench, build, chat, doctor, explain, infer, llm_profile, models, quantize, serving, up, vector
from hekla.cli.exit_status import Exit
from hekla.cli.screen import AsJson, write_error, write_json

_HELP = """Serve models from folders: the Open Inference Protocol and the OpenAI API from one process.

**First steps**

    hekla up                                  sample models, ready to try
    hekla models list                         what the server serves
    hekla infer embed "a cat" "a kitten"      ask it something
    hekla chat                                talk to a language model
    hekla serve --repository my-models        your own models

**Exit status**: 0 done, 1 failed (the message says why), 2 wrong usage, 3 no server answers, 70 a fault in hekla,
130 interrupted.
"""
_DEBUG = "hekla.debug"


class OneLineErrors(TyperGroup):
    """Shows errors in one line, with their exit status; tracebacks only with --debug."""

    def invoke(self, ctx: Any) -> Any:  # typer's own context class is private
        """Run the command. Errors: typer.Exit with the status of Exit."""
        try:
            return super().invoke(ctx)
        except HeklaError as error:
            if ctx.meta.get(_DEBUG):
                raise
            write_error(ctx, error, name=type(error).__name__)
            unreachable = type(error).__name__ == "UnreachableError"
            raise typer.Exit(Exit.UNREACHABLE if unreachable else Exit.FAILED) from error
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # these are typer's own to show: usage, Ctrl-C, a reader such as `head` that went away
        except Exception as error:  # the process boundary
            if ctx.meta.get(_DEBUG) or type(error).__module__.startswith("typer."):
                raise
            self._fault(ctx, error)

    def _fault(self, ctx: Any, error: Exception) -> NoReturn:  # typer's own context class is private
        text = f"{type(error).__name__}: {error}"
        fault = HeklaError(text, where="a fault in hekla", cure="run the command again as `hekla --debug ...`")
        write_error(ctx, fault, name="Fault")
        raise typer.Exit(Exit.BUG) from error


app = typer.Typer(
    name="hekla",
    help=_HELP,
    cls=OneLineErrors,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _global(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    context.meta[_DEBUG] = debug


@app.command()
def version(as_json: AsJson = False) -> None:
    """Show the version.

    Example: `hekla version --json`
    """
    if as_json:
        write_json({"name": "hekla", "version": __version__, "python": sys.version.split()[0]})
    else:
        typer.echo(f"hekla {__version__} (Python {sys.version.split()[0]})")


app.command("serve")(serving.serve)
app.command("up")(up.up)
app.add_typer(models.app, name="models")
app.command("infer")(infer.infer)
app.command("chat")(chat.chat)
app.command("doctor")(doctor.doctor)
app.command("build")(build.build)
app.command("quantize")(quantize.quantize)
app.add_typer(explain.explain_app, name="explain")
app.add_typer(llm_profile.llm_app, name="llm")
app.add_typer(bench.bench_app, name="bench")
app.add_typer(vector.vector_app, name="vector")


def run() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(50_000, 20, 20)  # a start makes many objects and no garbage: it takes a twelfth less time
    app(prog_name="hekla")
