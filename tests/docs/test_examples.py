"""Every program in examples/ runs against a server and prints what it is for. Needs the pulled samples."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import assert_shows
from tests.running_server import RunningServer, running_server
from tests.samples.sample_repository import version_folder

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    for model in ("embed", "vad", "ocr-detection", "ocr-recognition"):
        version_folder(model)
    models = EXAMPLES / "models"
    with running_server(version_folder("embed").parents[1], models, args=["--python-models", str(models)]) as running:
        yield running


def run(*command: str) -> str:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def example(name: str, *arguments: str) -> str:
    return run(sys.executable, str(EXAMPLES / name), *arguments)


def test_curl_reads_a_picture(server: RunningServer) -> None:
    printed = run("sh", str(EXAMPLES / "curl_ocr.sh"), str(EXAMPLES / "receipt.png"), server.http_url)
    assert_shows('{"model_name":"ocr",...["Kaffi Hekla","Austurvegur 12, Selfoss",...]}]}', printed, "curl_ocr.sh")


def test_the_openai_client_compares_sentences(server: RunningServer) -> None:
    printed = example("openai_embeddings.py", server.http_url)
    assert_shows("(3, 384) 13\n[[1. 0.77 0.21]\n[0.77 1. 0.19]\n[0.21 0.19 1. ]]", printed, "openai_embeddings.py")


def test_triton_clients_read_the_same(server: RunningServer) -> None:
    lines = example("triton_ocr.py", server.http_address, server.grpc_address).splitlines()
    answers = [line.split(maxsplit=1) for line in lines]
    assert [module for module, _ in answers] == ["tritonclient.http", "tritonclient.grpc"]
    assert answers[0][1] == answers[1][1] == "21 ['Kaffi Hekla', 'Austurvegur 12, Selfoss']"


def test_speech_is_found_over_one_stream(server: RunningServer) -> None:
    printed = example("triton_vad_stream.py", server.grpc_address)
    assert_shows("168 windows, 11... with speech, which begins at 0.5... s, 3.3... s", printed, "triton_vad_stream.py")


def test_the_python_model_counts_words(server: RunningServer) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["to be or not to be", ""]}
    reply = server.post_json("/v2/models/words/infer", {"inputs": [tensor]})
    assert reply.json()["outputs"][0]["data"] == [6, 0]


def test_every_example_is_in_its_index_and_tested_here() -> None:
    index, here = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    readme = (EXAMPLES.parent / "README.md").read_text()
    for program in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.sh")):
        assert f"({program.name})" in index
        is_elsewhere = any(program.stem in test.read_text() for test in (EXAMPLES.parent / "tests/vector").glob("*.py"))
        assert is_elsewhere or f'"{program.name}"' in here or f"python examples/{program.name}" in readme
