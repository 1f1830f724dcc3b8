"""The ONNX files every server gets, made once in the cache: each in one piece, so that a copy of it is all of it."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from benchmarks.serve import environments
from benchmarks.serve.bert_onnx import write_bert
from benchmarks.serve.cases import Case, make_case, make_mlp
from hekla.samples.pulling import pull

_SAMPLES = {"minilm": "embed", "det": "ocr-detection"}


def cases(names: Sequence[str]) -> list[Case]:
    """Return the cases of these names; their files are made from the sample models where they are missing."""
    return [make_case(name, _file(name)) for name in names]


def _file(name: str) -> Path:
    target = environments.cache() / "onnx" / f"{name}.onnx"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    if name == "mlp":
        make_mlp(part)
    else:
        repository = environments.cache() / "models"
        pull([_SAMPLES[name]], repository)
        folder = repository / _SAMPLES[name] / "1"
        if name == "minilm":  # its sample is the weights alone: every server gets a graph of them
            write_bert(folder)
        # Loading takes in the weights that lie in other files, saving writes all of it into one.
        onnx.save(onnx.load(str(folder / "model.onnx")), str(part))
    part.rename(target)
    return target
