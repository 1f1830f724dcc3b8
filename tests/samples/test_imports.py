"""Importing stages and samples loads no library that only some models need."""

import subprocess
import sys

import pytest

HEAVY = ("onnx", "onnxruntime", "tokenizers", "safetensors", "PIL")


def loaded(statement: str) -> set[str]:
    check = f"{statement}; import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["hekla.samples", "hekla.tasks.embed", "hekla.tasks.vad.window", "hekla.tasks.file_type"]
)
def test_importing_a_module_loads_no_heavy_library(module: str) -> None:
    assert loaded(f"import {module}") == set()


@pytest.mark.slow
def test_a_heavy_import_would_be_seen() -> None:
    assert loaded("import tokenizers") == {"tokenizers"}
