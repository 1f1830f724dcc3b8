"""An encoder in ONNX, served as the guide shows, answers as the compiled one does. Needs the pulled samples."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.minilm_graph import minilm_graph
from tests.running_server import running_server

ROOT = Path(__file__).parents[3]


def shown_toml() -> str:
    """Return the guide's model.toml of an encoder in ONNX."""
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guide/model-files.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if "embed.tokenize" in block]
    return str(found)


@pytest.mark.slow
def test_the_guide_s_recipe_gives_the_recorded_vectors_to_texts_that_come_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "onnx" / "1"
    folder.mkdir(parents=True)
    minilm_graph(folder)
    (tmp_path / "onnx" / "model.toml").write_text(shown_toml())
    recorded = json.loads((Path(__file__).parent / "minilm.json").read_text())
    with running_server(tmp_path) as server, ThreadPoolExecutor(8) as pool:

        def first(case: dict[str, object]) -> list[float]:
            reply = server.post_json("/v1/embeddings", {"model": "onnx", "input": case["text"]})
            assert reply.status == 200, reply
            vector: list[float] = reply.json()["data"][0]["embedding"]
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
            return vector[:8]

        asked = [case for case in recorded if case["text"]]  # OpenAI's route takes no empty text
        found = list(pool.map(first, asked))
    for case, vector in zip(asked, found, strict=True):
        np.testing.assert_allclose(vector, case["first"], atol=1e-5)
