"""`hekla infer`: what is sent, and what a person and a program see."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Run
from tests.cli.toy_server import ToyServer


def test_lines_of_text_come_with_scores_and_boxes(run: Run, toy: ToyServer, tmp_path: Path) -> None:
    image = tmp_path / "receipt.png"
    image.write_bytes(b"\x89PNG")
    result = run("infer", "ocr", str(image), "--url", toy.url)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines()[:3]] == [
        ["text", "score", "left,top", "size"],
        ["Größe", "[1]", "0.990", "1,2", "30x10"],
        ["total", "0.500", "21,22", "30x10"],
    ]


def test_an_image_without_text_says_so(run: Run, toy: ToyServer) -> None:
    assert "no text found" in run("infer", "ocr", "-", "--url", toy.url, stdin=b"").output


def test_two_texts_are_compared(run: Run, toy: ToyServer) -> None:
    result = run("infer", "embed", "a cat", "the cat", "--url", toy.url)
    assert "2.0000" in result.output, "the norm"
    assert "1.0000  a cat    the cat" in result.output
    assert "0.0000" in run("infer", "embed", "a cat", "a dog", "--url", toy.url).output


def test_json_holds_everything(run: Run, toy: ToyServer) -> None:
    document = json.loads(run("infer", "embed", "a cat", "--json", "--url", toy.url).output)
    assert document["outputs"] == {
        "embedding": {"datatype": "FP32", "shape": [1, 8], "data": [[2.0, 0, 0, 0, 0, 0, 0, 0]]}
    }
    assert (document["model"], document["version"], document["task"]) == ("embed", "1", "embedding")


def test_a_model_of_one_element_is_asked_in_turn(run: Run, toy: ToyServer) -> None:
    documents = json.loads(run("infer", "ocr", "one", "two", "--json", "--url", toy.url).output)
    assert [document["outputs"]["text"]["data"] for document in documents] == [["Größe [1]", "total"]] * 2
    assert toy.seen.count("POST /v2/models/ocr/infer") == 2


def test_a_file_is_sent_byte_for_byte(run: Run, toy: ToyServer, tmp_path: Path) -> None:
    (tmp_path / "unknown.npy").write_bytes(bytes(range(256)))
    result = run("infer", "file-type", str(tmp_path / "unknown.npy"), "--url", toy.url)
    assert "size256" in result.output
    assert "some bytes" in result.output


@pytest.mark.parametrize("kind", ["npy", "npz", "json", "protocol", "raw", "shape", "words", "stdin"])
def test_tensors_come_in_every_form(run: Run, toy: ToyServer, tmp_path: Path, kind: str) -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    path = tmp_path / "x"
    more: list[str] = []
    stdin = None
    if kind == "npy":
        path = path.with_suffix(".npy")
        np.save(path, x.astype(np.float64))
    elif kind == "npz":
        path = path.with_suffix(".npz")
        np.savez(path, x=x)
    elif kind in ("json", "protocol"):
        path = path.with_suffix(".json")
        flat = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": x.ravel().tolist()}]}
        path.write_text(json.dumps({"x": x.tolist()} if kind == "json" else flat))
    elif kind in ("raw", "shape"):
        path = path.with_suffix(".raw" if kind == "raw" else "")
        path.write_bytes(x.tobytes())
        more = ["--shape", "2x3"] if kind == "shape" else []
    argument = str(path)
    if kind == "words":
        argument = "[[1, 2, 3], [4, 5, 6]]"
    if kind == "stdin":
        argument, stdin = "-", b"[1, 2, 3, 4, 5, 6]"
    result = run("infer", "double", argument, *more, "--json", "--url", toy.url, stdin=stdin)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["outputs"]["y"] == {
        "datatype": "FP32",
        "shape": [2, 3],
        "data": (x * 2).tolist(),
    }


def test_tensors_are_summarised(run: Run, toy: ToyServer) -> None:
    output = run("infer", "double", "[[1, 2, 3], [4, 5, 6], [7, 8, 9]]", "--url", toy.url).output
    assert output.splitlines()[1].split(maxsplit=2) == [
        "y",
        "FP32",
        "[3, 3]  2, 4, 6, 8, 10, 12, ...  2 to 18, mean 10",
    ]


def write_wav(path: Path, samples: "np.ndarray[tuple[int], np.dtype[np.float32]]", rate: int = 16000) -> str:
    """Write 16-bit mono and return the path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return str(path)


def test_speech_is_found_in_a_wav_file_sent_as_one_sequence(run: Run, toy: ToyServer, tmp_path: Path) -> None:
    samples = np.zeros(512 * 60, np.float32)
    samples[512 * 20 : 512 * 40] = 0.5
    path = write_wav(tmp_path / "speech.wav", samples)
    document = json.loads(run("infer", "vad", path, "--json", "--url", toy.url).output)
    (segment,) = document["segments"]
    assert segment["start_s"] == pytest.approx(20 * 0.032, abs=0.05)
    assert segment["end_s"] == pytest.approx(40 * 0.032, abs=0.05)
    assert document["probabilities"] == [0.0] * 20 + [1.0] * 20 + [0.0] * 20
    assert "0.61 s  1.31 s  0.70 s" in run("infer", "vad", path, "--url", toy.url).output


def test_a_wav_file_at_another_rate_says_what_to_do(run: Run, toy: ToyServer, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "phone.wav", np.zeros(800, np.float32), rate=8000)
    result = run("infer", "vad", path, "--url", toy.url)
    assert (result.exit_code, "resample it to 16000 Hz" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["doubel", "x"], 1, "error: unknown model 'doubel'"),
        (["double", "[[-1, 2, 3]]"], 1, "error: negative numbers are not taken"),
        (
            ["double", "missing.npy"],
            1,
            "error: missing.npy: no such file; check the path, or give --text if it is text",
        ),
        (["double", "hello"], 1, "error: INPUT: the model takes tensors; this is no JSON"),
        (["double", '{"z": [[1, 2, 3]]}'], 1, "error: INPUT: 'z' is no input of the model; known: x"),
        (["double", "[[1, 2], [3]]"], 1, "error: INPUT: x: the data are not a regular array"),
        (["double", "a", "b"], 1, "error: expected one tensor file, got 2 inputs"),
    ],
)
def test_a_fault_is_one_line_with_a_cure(
    run: Run, toy: ToyServer, arguments: list[str], status: int, message: str
) -> None:
    result = run("infer", *arguments, "--url", toy.url)
    assert result.exit_code == status
    assert result.output.startswith(message), result.output
    assert len(result.output.splitlines()) == 1


def test_nobody_listening_is_told_with_the_cure(run: Run) -> None:
    result = run("infer", "embed", "x", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert result.output == (
        "error: no answer from http://127.0.0.1:1 (connection refused); "
        "is the server running? start it with `make up` or `hekla serve`\n"
    )


def test_an_error_is_json_where_json_was_asked_for(run: Run, toy: ToyServer) -> None:
    result = run("infer", "doubel", "x", "--json", "--url", toy.url)
    assert json.loads(result.output) == {
        "error": "unknown model 'doubel'",
        "kind": "NotFoundError",
        "where": "",
        "cure": "",
    }


def test_debug_shows_the_traceback(run: Run) -> None:
    result = run("--debug", "infer", "embed", "x", "--url", "http://127.0.0.1:1")
    assert type(result.exception).__name__ == "UnreachableError"


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://host:99999"])
def test_what_is_no_url_is_refused(run: Run, url: str) -> None:
    result = run("infer", "embed", "x", "--url", url)
    assert result.output.startswith(f"error: --url: '{url}' is no server's URL; write it like http://127.0.0.1:8000")


def test_the_url_comes_from_the_environment_too(run: Run, toy: ToyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEKLA_URL", toy.url)
    assert run("infer", "embed", "a cat").exit_code == 0
