"""`hekla llm profile`: where the time of each token goes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.cli.engine_option import EngineOption, engine_options
from hekla.cli.screen import AsJson, console, write_json, write_table

if TYPE_CHECKING:
    from hekla.llm.profile import Profile

llm_app = typer.Typer(name="llm", help="Look into language models.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A model: a folder with a GGUF file or safetensors.")]
Prompt = Annotated[str, typer.Option("--prompt", help="What the model goes on from.")]
Tokens = Annotated[int, typer.Option("--tokens", min=1, help="How many tokens are written.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="0: as many as processors may be used.")]
Warm = Annotated[bool, typer.Option("--warm/--cold", help="Answer once before, unmeasured.")]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page too.")]

PROMPT = "The harbour had been quiet since the ferry company went out of business. In the mornings an old man"


@llm_app.command("profile")
def profile(
    folder: Folder,
    option: EngineOption,
    prompt: Prompt = PROMPT,
    tokens: Tokens = 32,
    threads: Threads = 0,
    warm: Warm = True,
    html: Page = None,
    as_json: AsJson = False,
) -> None:
    """Measure one answer token by token: queue, prefill, decode, sampling, detokenising, the engine itself.

    Example: `hekla llm profile models/smollm2/1 --html profile.html`
    """
    from hekla.llm.loader import load
    from hekla.llm.profile import profile as measure
    from hekla.llm.profile_page import profile_page
    from hekla.protocols.text_engine import Sampling, TextEngineSource
    from hekla.runtime.limits import usable_cpus

    source = TextEngineSource(
        model=folder.resolve().parent.name if folder.name.isdigit() else folder.resolve().name,
        version=1,
        folder=folder,
        options=engine_options(option),
        threads=threads or usable_cpus(),
        where="--option",
    )
    engine = load(source)
    try:
        given = engine.encode(prompt, is_special=True)
        sampling = Sampling(temperature=0)
        if warm:
            measure(engine, given[:1], max_tokens=2, sampling=sampling)
        found = measure(engine, given, max_tokens=tokens, sampling=sampling)
    finally:
        engine.close()
    if html is not None:
        html.write_text(profile_page(found), encoding="utf-8")
    if as_json:
        write_json(found.document())
    else:
        _show(found)


def _show(found: "Profile") -> None:
    from hekla.llm.profile import flame, milliseconds, stage_rows

    screen = console()
    screen.print(
        f"{found.model} {found.quantisation}: {found.prompt_tokens} prompt tokens, first token after "
        f"{milliseconds(found.first_token_s)}, then {found.decode_tokens_per_s:.1f} tokens/s; {found.frequency.text()}",
        markup=False,
    )
    if found.frequency.warning:
        screen.print(found.frequency.warning, style="yellow", markup=False)
    write_table(("stage", "total ", "share ", "median ", "slowest 5 % "), stage_rows(found))
    screen.print("\nq queue  p prefill  d decode  s sample  t detokenise  e engine; the first bar has its own scale")
    for line in flame(found, width=max(20, min(60, screen.width - 40))):
        screen.print(line, markup=False, no_wrap=True)
