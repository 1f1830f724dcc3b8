"""A small model of the task "embedding", whose vectors a test can work out."""

from pathlib import Path

from tests.model_folders import tensor_tables, write_python_model

DIMENSIONS = 8

_CODE = f"""\
import numpy as np


class Model:
    def load(self, source):
        pass

    def predict(self, inputs):
        texts = inputs["text"]
        vectors = np.zeros((len(texts), {DIMENSIONS}), np.float32)
        for row, text in zip(vectors, texts):
            for byte in text:
                row[byte % {DIMENSIONS}] += 1
            row /= np.linalg.norm(row)
        return {{"embedding": vectors, "tokens": np.array([len(text) for text in texts], np.int64)}}
"""


def write_embedder(repository: Path, name: str = "letters") -> Path:
    """Write a model that counts each text's bytes by their remainder; one byte is one token."""
    tables = tensor_tables(
        [("text", "BYTES", ["n"])],
        [("embedding", "FP32", ["n", DIMENSIONS]), ("tokens", "INT64", ["n"])],
    )
    return write_python_model(repository, name, _CODE, tables, head='task = "embedding"\n')
