"""Versions of Python models, written as a user would write them."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from hekla.base.dtypes import DType
from hekla.protocols.engine import EngineSource
from hekla.protocols.tensor import TensorSpec

X = TensorSpec("x", DType.FP32, (-1, 2), 0)
Y = TensorSpec("y", DType.FP32, (-1, 2), 0)


def python_source(
    folder: Path,
    body: str,
    *,
    inputs: tuple[TensorSpec, ...] = (X,),
    outputs: tuple[TensorSpec, ...] = (Y,),
    options: Mapping[str, object] | None = None,
) -> EngineSource:
    """Write `model.py` with that body as version 1 and return the source of its engine, code allowed."""
    version = folder / "1"
    version.mkdir(exist_ok=True)
    (version / "model.py").write_text(textwrap.dedent(body))
    options = {"class": "model.py:Model", **(options or {})}
    return EngineSource("m", 1, version, inputs, outputs, options, code_folders=(folder,), where="m/model.toml")


def predicting(expression: str) -> str:
    """Return a model whose predict returns that expression of `x` (and may use `np`), at line 5."""
    return (
        "import numpy as np\nclass Model:\n    def predict(self, inputs):\n        x = inputs['x']\n"
        f"        return {expression}\n"
    )
