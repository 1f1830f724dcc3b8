"""The recipes do through the server what the parts do alone. Needs the pulled samples."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.running_server import RunningServer, running_server
from tests.samples.sample_repository import version_folder

from hekla.tasks.vad.wav import read_wav, windows

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "examples" / "speech.wav"
RECORDED = json.loads((ROOT / "tests/tasks/vad/speech-silero-6.2.3.json").read_text())["16000"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    repository = version_folder("embed").parents[1]
    for model in ("vad", "file-type"):
        version_folder(model)
    with running_server(repository) as running:
        yield running


def embedded(server: RunningServer, *texts: str) -> tuple[NDArray[np.float32], list[int]]:
    entry = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    reply = server.post_json("/v2/models/embed/infer", {"inputs": [entry]})
    assert reply.status == 200, reply
    found = {output["name"]: output for output in reply.json()["outputs"]}
    vectors = np.array(found["embedding"]["data"], np.float32).reshape(found["embedding"]["shape"])
    return vectors, found["tokens"]["data"]


def test_texts_sent_at_once_get_the_vectors_they_get_alone(server: RunningServer) -> None:
    texts = ["word " * (1 + at * 7 % 60) for at in range(24)]
    alone = [embedded(server, text) for text in texts]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda text: embedded(server, text), texts))
    in_one, tokens = embedded(server, *texts)
    for at, (vector, count) in enumerate(alone):
        np.testing.assert_array_equal(together[at][0], vector)
        np.testing.assert_array_equal(in_one[at], vector[0])
        assert together[at][1] == count == [tokens[at]]


def test_the_vectors_are_the_recorded_ones(server: RunningServer) -> None:
    recorded = json.loads((ROOT / "tests/tasks/embed/minilm.json").read_text())
    vectors, _ = embedded(server, *(case["text"] for case in recorded))
    for case, vector in zip(recorded, vectors, strict=True):
        np.testing.assert_allclose(vector[:8], case["first"], atol=1e-5)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_as_many_texts_as_clients_send_at_once_are_answered(server: RunningServer) -> None:
    texts = [f"sentence {at}" for at in range(256)]
    vectors, _ = embedded(server, *texts)
    np.testing.assert_array_equal(vectors[::100], embedded(server, *texts[::100])[0])


def test_a_text_that_is_too_long_is_refused_and_its_neighbours_are_not(server: RunningServer) -> None:
    entry = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["fine", "word " * 300]}
    reply = server.post_json("/v2/models/embed/infer", {"inputs": [entry]})
    assert reply.status == 413
    assert "text[1]: the limit is 256 tokens, got 302" in reply.error
    assert embedded(server, "fine")[1] == [3]


def heard(server: RunningServer, stream: int) -> list[float]:
    samples, rate = read_wav(SPEECH.read_bytes())
    parts, found = list(windows(samples, rate)), []
    for at, part in enumerate(parts):
        document = {
            "parameters": {
                "sequence_id": stream,
                "sequence_start": at == 0,
                "sequence_end": at == len(parts) - 1,
            },
            "inputs": [{"name": "audio", "datatype": "FP32", "shape": [1, 512], "data": part[0].tolist()}],
        }
        reply = server.post_json("/v2/models/vad/infer", document)
        assert reply.status == 200, reply
        found.append(reply.json()["outputs"][0]["data"][0])
    return found


def test_streams_heard_at_once_are_heard_as_the_original_hears_one(server: RunningServer) -> None:
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda stream: heard(server, stream), range(1, 5)):
            assert found == pytest.approx(RECORDED, abs=1e-4)


def test_a_file_is_named_by_its_bytes(server: RunningServer) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    entry = {"name": "file", "datatype": "BYTES", "shape": [1], "data": [text]}
    reply = server.post_json("/v2/models/file-type/infer", {"inputs": [entry]})
    found = {output["name"]: output["data"] for output in reply.json()["outputs"]}
    assert (found["label"], found["mime_type"]) == (["toml"], ["application/toml"])
    assert found["score"][0] > 0.9
