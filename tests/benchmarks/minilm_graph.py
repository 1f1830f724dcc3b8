"""MiniLM as an ONNX graph: what ONNX Runtime computes of the sample is the oracle for all else that reads it."""

import shutil
from pathlib import Path

from tests.samples.sample_repository import version_folder

from benchmarks.serve.bert_onnx import write_bert


def minilm_graph(into: Path) -> Path:
    """Return a folder with the files of the sample `embed` and model.onnx; the test is skipped where there is none."""
    found = version_folder("embed")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json"):
        shutil.copyfile(found / name, into / name)
    write_bert(into)
    return into
