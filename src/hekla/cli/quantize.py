"""`hekla quantize`: a model's weights stored in another way."""

from pathlib import Path
from typing import Annotated

import typer

from hekla.cli.screen import AsJson, write_json


def quantize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A GGUF file, or (for awq) a folder of safetensors.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The GGUF file to write; for awq a folder.")],
    to: Annotated[
        str, typer.Option("--to", help="f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k or awq.")
    ],
    group: Annotated[
        int, typer.Option("--group", min=0, max=4096, help="awq: inputs that share a scale; 0: the largest that fits.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Write a model with its weights stored in another way; everything else of it stays as it was.

    Example: `hekla quantize model.gguf model-q4_0.gguf --to q4_0`
    """
    from hekla.llm.awq_writer import quantise_awq
    from hekla.llm.model_file import open_model
    from hekla.llm.quantise_model import kind_named, quantise_gguf

    if to.lower() == "awq":
        model = open_model(source)
        before = model.weight_bytes
        used = quantise_awq(model, target, group)
        after = (target / "model.safetensors").stat().st_size
        kind, counted = "AWQ", {"group": used}
    else:
        written = quantise_gguf(source, target, kind_named(to))
        kind, counted = written.kind, written.tensors
        before, after = written.bytes_before, written.bytes_after
    if as_json:
        report = {"path": str(target), "kind": kind, "detail": counted, "bytes_before": before, "bytes_after": after}
        write_json(report)
        return
    detail = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
    typer.echo(f"{target}: {kind} ({detail}), {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now")
