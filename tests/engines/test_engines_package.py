"""The package as a whole: what importing it costs, how its engines are found, and that the guide is true."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.dtypes import DType
from hekla.engines.onnx_runtime import OPTIONS
from hekla.engines.python_callable import load
from hekla.protocols.engine import EngineLoader, EngineSource
from hekla.protocols.tensor import TensorSpec

GUIDE = (Path(__file__).parents[2] / "docs/guide/engines.md").read_text()


@pytest.mark.slow
def test_only_the_onnx_loader_imports_onnx_runtime() -> None:
    code = "import sys, hekla.engines.python_callable, hekla.engines.process.loader, hekla.engines.process.worker\n"
    code += "sys.exit(any(name.startswith('onnx') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_kind_is_an_entry_point_and_in_the_guide() -> None:
    found = {entry.name: entry for entry in entry_points(group="hekla.engines")}
    assert {"onnxruntime", "python", "process"} <= set(found)
    for name in ("onnxruntime", "python", "process"):
        loader: EngineLoader = found[name].load()
        assert callable(loader)
        assert f"## `{name}`" in GUIDE


def test_every_option_is_in_the_guide() -> None:
    for option in (*OPTIONS, "class", "grace_s"):
        assert re.search(rf"^(\| `{option}` \||{option} = )", GUIDE, re.MULTILINE), option


def test_the_guides_python_model_runs_as_printed(tmp_path: Path) -> None:
    section = GUIDE.split("## `python`")[1]
    blocks = dict(re.findall(r"```(toml|python)\n(.*?)```", section.split("Code runs only")[0], re.DOTALL))
    config = tomllib.loads(blocks["toml"])
    (tmp_path / "model.py").write_text(blocks["python"])

    def specs(table: str) -> tuple[TensorSpec, ...]:
        rows: list[dict[str, Any]] = config[table]  # as TOML has them
        return tuple(TensorSpec(r["name"], DType(r["dtype"]), tuple(r["shape"]), r["batch_axis"]) for r in rows)

    options = {key: value for key, value in config["engine"].items() if key != "kind"}
    source = EngineSource("scaler", 1, tmp_path, specs("inputs"), specs("outputs"), options, code_folders=(tmp_path,))
    engine = load(source)
    assert engine.run({"x": np.ones((1, 4), np.float32)})["y"].tolist() == [[2.5] * 4]
    engine.close()
