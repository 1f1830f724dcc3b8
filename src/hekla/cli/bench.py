"""`hekla bench llm`: how fast a language model is on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.cli.engine_option import EngineOption, engine_options
from hekla.cli.options import SAMPLES
from hekla.cli.screen import AsJson, console, write_json, write_table

if TYPE_CHECKING:
    from hekla.llm.bench import Bench

bench_app = typer.Typer(name="bench", help="Measure this machine.", no_args_is_help=True)


@bench_app.command("llm")
def llm(
    option: EngineOption,
    model: Annotated[
        Path, typer.Argument(help="A model's folder: its version, or the one above.", show_default=False)
    ] = SAMPLES / "smollm2",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Each is measured so often; the median counts.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure a language model in this process: no server takes part.

    Prompts of 128, 512 and 1024 tokens, one answer, 4, 8 and 16 at a time, the start of a process, its memory; beside
    them what memory gives on this machine, and how much of that one answer takes. Stop other work first.

    Example: `hekla bench llm models/smollm2`
    """
    from hekla.llm.bench import Bench, bytes_per_token, measure_cold_start, measure_figures, measure_memory
    from hekla.llm.loader import load
    from hekla.llm.model_file import open_model
    from hekla.protocols.text_engine import TextEngineSource
    from hekla.runtime.limits import usable_cpus

    folder, options, threads = _version_folder(model), engine_options(option), usable_cpus()
    read = measure_memory(threads)
    engine = load(TextEngineSource(folder.resolve().parent.name, 1, folder, options, threads, "--option"))
    try:
        figures = measure_figures(engine, rounds=rounds)
        info = engine.info
    finally:
        engine.close()
    cold_s, peak = measure_cold_start(folder, options)  # the last: code and packed weights are kept by now
    read_per_token = bytes_per_token(open_model(folder))
    found = Bench(info.name, info.quantisation, threads, figures, cold_s, peak, read, read_per_token)
    if as_json:
        write_json(found.document())
    else:
        _show(found)


def _version_folder(model: Path) -> Path:
    """Return the newest version's folder where a model's folder is named, else what is named."""
    versions = [path for path in model.glob("*") if path.name.isdigit() and path.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=model)


def _show(found: "Bench") -> None:
    from hekla.llm.cpu_frequency import read_cpu_frequency

    screen, frequency = console(), read_cpu_frequency()
    screen.print(
        f"{found.model} {found.quantisation}, {found.threads} threads; {frequency.text()}", markup=False, soft_wrap=True
    )
    if frequency.warning:
        screen.print(frequency.warning, style="yellow", markup=False)
    write_table(
        ("measured", "tokens/s ", "slowest ", "fastest ", "first token "),
        [
            (
                figure.name,
                f"{figure.tokens_per_s:.1f}",
                f"{figure.slowest:.1f}",
                f"{figure.fastest:.1f}",
                f"{figure.first_token_s * 1e3:.1f} ms",
            )
            for figure in found.figures
        ],
    )
    screen.print(
        f"memory gives {found.read_bytes_per_s / 1e9:.1f} GB/s; "
        f"decode reads {found.bytes_per_token / 1e6:.1f} MB a token, "
        f"{found.bandwidth_share:.0%} of that\n"
        f"process start to first token {found.cold_start_s:.2f} s, {found.peak_bytes >> 20} MiB at most",
        markup=False,
        soft_wrap=True,
    )
