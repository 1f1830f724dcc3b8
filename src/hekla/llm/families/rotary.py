"""Rotary embedding as a config.json writes it: `rope_theta` and `rope_scaling`, or `rope_parameters` in newer files."""

import math

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import RotaryConfig


def huggingface_rotary(config: Metadata, head_width: int, *, kind_of_layer: str = "") -> RotaryConfig:
    """Return the rotary embedding of layers of a kind ("full_attention"; "": all layers have the same).

    Errors: UnsupportedError naming a kind of scaling that is not computed; ModelFileError.
    """
    table = config.table("rope_parameters") or config.table("rope_scaling") or Metadata({}, config.where)
    if kind_of_layer and (inner := table.table(kind_of_layer)):
        table = inner
    theta = config.number("rope_theta", 10_000.0, least=1.0) if table.get("rope_theta") is None else 0.0
    theta = theta or table.number("rope_theta", least=1.0)
    share = config.number("partial_rotary_factor", 1.0, least=1e-3, most=1.0)
    dimensions = int(head_width * share)
    kind = table.text("rope_type", table.text("type", "default"))
    if kind == "default":
        return RotaryConfig(theta, dimensions, is_interleaved=False)
    if kind == "linear":
        return RotaryConfig(theta, dimensions, is_interleaved=False, scale=table.number("factor", least=1e-6))
    if kind == "llama3":
        return RotaryConfig(theta, dimensions, is_interleaved=False, factors=_llama3(table, theta, dimensions))
    raise UnsupportedError(
        f"rotary scaling {quoted(kind)}", where=f"{table.where}: rope_type", cure="known: default, linear, llama3"
    )


def _llama3(table: Metadata, theta: float, dimensions: int) -> tuple[float, ...]:
    """Return what each pair's frequency is divided by. Source: transformers, `_compute_llama3_parameters`."""
    factor = table.number("factor", least=1.0)
    low, high = table.number("low_freq_factor", least=1e-6), table.number("high_freq_factor", least=1e-6)
    trained = table.integer("original_max_position_embeddings")
    if high <= low:
        raise ModelFileError(f"high_freq_factor {high} is not above low_freq_factor {low}", where=table.where)
    found = []
    for pair in range(dimensions // 2):
        wavelength = 2 * math.pi * theta ** (2 * pair / dimensions)
        if wavelength < trained / high:
            found.append(1.0)
        elif wavelength > trained / low:
            found.append(factor)
        else:
            smooth = (trained / wavelength - low) / (high - low)
            found.append(1.0 / ((1 - smooth) / factor + smooth))
    return tuple(found)
