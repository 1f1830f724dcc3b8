"""`hekla vector` on the command line: a collection from making it to checking it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from hekla.vector import Collection, CollectionSchema, VectorSchema

Run = Callable[..., Result]
TEXT = "A cat sat on the mat.\n\nDogs run in the park.\n\nCats and dogs sleep.\n\nTaxes are due in June.\n"


class Embeddings(BaseHTTPRequestHandler):
    """Answers OpenAI's embeddings: (cats, dogs, 1) in a text."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = [
            {"index": i, "embedding": [float("cat" in t.lower()), float("dog" in t.lower()), 0.5]}
            for i, t in enumerate(asked["input"])
        ]
        body = json.dumps({"data": data} if asked["model"] == "embed" else {"error": {"message": "no such model"}})
        self.send_response(200 if asked["model"] == "embed" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Embeddings)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def book(tmp_path: Path) -> str:
    (tmp_path / "book.txt").write_text(TEXT)
    return str(tmp_path / "book.txt")


@pytest.fixture
def notes(tmp_path: Path, run: Run, url: str, book: str) -> str:
    folder = str(tmp_path / "notes")
    assert run("vector", "create", folder, "-d", "3", "-f", "text=text:english", "-f", "line=integer").exit_code == 0
    done = run("vector", "import", folder, book, "--url", url)
    assert done.exit_code == 0, done.output
    assert "4 imported, 4 of them new" in done.output
    return folder


def ids(done: Result) -> list[int]:
    assert done.exit_code == 0, done.output
    return [point["id"] for point in json.loads(done.stdout)]


def test_a_text_is_found_by_words_and_meaning(notes: str, run: Run, url: str) -> None:
    assert ids(run("vector", "search", notes, "sleeping cats and dogs", "--url", url, "--json"))[0] == 2
    assert ids(run("vector", "search", notes, "tax", "--words", "--json")) == [3]
    assert ids(run("vector", "search", notes, "cat", "--meaning", "--url", url, "-n", "1", "--json")) == [0]
    assert ids(run("vector", "search", notes, "--vector", "[0, 1, 0.5]", "-n", "1", "--json")) == [1]
    assert 0 not in ids(run("vector", "search", notes, "--like", "0", "--json"))
    shown = run("vector", "search", notes, "tax", "--words")
    assert "Taxes are due in June." in shown.output
    assert "nothing found" in run("vector", "search", notes, "zebra", "--words").output


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("line>=5", [2, 3]),
        ("line<5", [0, 1]),
        ("line=3", [1]),
        ("line!=3", [0, 2, 3]),
        ("text~dogs", [1, 2]),
        ("line>=2.5", [1, 2, 3]),
    ],
)
def test_conditions_filter(notes: str, run: Run, where: str, wanted: list[int]) -> None:
    assert sorted(ids(run("vector", "search", notes, "--vector", "[1, 1, 1]", "-w", where, "--json"))) == wanted


def test_info_shows_schema_and_segments(notes: str, run: Run) -> None:
    document = json.loads(run("vector", "info", notes, "--json").stdout)
    assert (document["points"], document["damaged"]) == (4, [])
    assert document["schema"]["vectors"][""]["dimension"] == 3
    shown = run("vector", "info", notes).output
    assert "3 x f32, cosine" in shown
    assert "index text: text, english" in shown


def test_a_schema_shown_makes_another_collection(notes: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(run("vector", "info", notes, "--json").stdout)
    made = run("vector", "create", str(tmp_path / "again"), "--schema", str(tmp_path / "schema.json"), "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["schema"]["fields"]["text"]["language"] == "english"


def test_a_snapshot_is_a_collection(notes: str, run: Run, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy")
    assert "4 points" in run("vector", "snapshot", notes, copy).output
    assert ids(run("vector", "search", copy, "tax", "--words", "--json")) == [3]
    again = run("vector", "snapshot", notes, copy)
    assert again.exit_code == 1
    assert "is not empty" in again.stderr


def test_damage_is_named_and_the_status_is_1(notes: str, run: Run) -> None:
    assert run("vector", "verify", notes).output.endswith("4 points, nothing damaged\n")
    path = next(Path(notes).glob("segment-*.hks"))
    data = bytearray(path.read_bytes())
    data[8192] ^= 1
    path.write_bytes(data)
    done = run("vector", "verify", notes, "--json")
    assert done.exit_code == 1
    assert path.name in json.loads(done.stdout)["damaged"][0]


def test_bench_prints_recall_beside_each_rate(tmp_path: Path, run: Run) -> None:
    folder = str(tmp_path / "points")
    np.save(tmp_path / "a.npy", np.random.default_rng(1).normal(size=(300, 8)))
    run("vector", "create", folder, "-d", "8", "--metric", "l2", "--sync", "off")
    assert run("vector", "import", folder, str(tmp_path / "a.npy")).exit_code == 0
    document = json.loads(run("vector", "bench", folder, "--queries", "20", "--json").stdout)
    assert document["points"] == 300
    assert {row["recall"] for row in document["searches"]} == {1.0}  # few points are compared exactly
    assert "recall@10" in run("vector", "bench", folder, "--queries", "5").output


def test_a_collection_that_is_open_elsewhere_is_read_and_not_written(notes: str, run: Run, book: str) -> None:
    with Collection.open(notes):
        done = run("vector", "import", notes, book)
        assert done.exit_code == 1
        said = " ".join(done.stderr.split())
        assert "has it open for writing" in said
        assert "ask that server to do it, or stop the process first" in said
        assert run("vector", "info", notes).exit_code == 0
        assert ids(run("vector", "search", notes, "tax", "--words", "--json")) == [3]


def test_texts_without_a_server_are_refused_with_the_cure(tmp_path: Path, run: Run, book: str) -> None:
    folder = str(tmp_path / "notes")
    run("vector", "create", folder, "-d", "3")
    done = run("vector", "import", folder, book, "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "start one with `hekla up`" in " ".join(done.stderr.split())
    assert json.loads(run("vector", "info", folder, "--json").stdout)["points"] == 0


def test_an_unknown_model_is_refused_with_the_cure(tmp_path: Path, run: Run, book: str, url: str) -> None:
    run("vector", "create", str(tmp_path / "notes"), "-d", "3")
    done = run("vector", "import", str(tmp_path / "notes"), book, "--url", url, "--model", "emebd")
    assert done.exit_code == 1
    assert "the server has no model 'emebd'" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search", "{}"), "give a text, or --vector, or --like"),
        (("search", "{}", "--vector", "1,2"), "--vector: is no JSON"),
        (("search", "{}", "--vector", "[1, 2]"), "expected 3 numbers, got 1x2"),
        (("search", "{}", "cat", "-w", "line"), "'line' is no condition; write it like year>=2020"),
        (("search", "{}", "--like", "99"), "no point 99"),
        (("info", "{}x"), "holds no collection; create one first"),
        (("create", "{}"), "holds a collection already"),
        (("create", "{}2", "--metric", "l3"), "$.vectors.metric: unknown value 'l3'"),
        (("create", "{}2", "-f", "text"), "--field: 'text' is not PATH=KIND"),
        (("create", "{}2", "-f", "text=txet"), "unknown value 'txet'; did you mean 'text'?"),
        (("create", "{}2", "-f", "text=text:englisch"), "no stemmer for 'englisch'; did you mean 'english'?"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(notes: str, run: Run, words: tuple[str, ...], message: str) -> None:
    done = run("vector", *(word.format(notes) for word in words))
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())


def test_a_search_says_that_its_time_was_over(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    with Collection.create(folder, CollectionSchema({"": VectorSchema(3, "l2")}, sync="off")) as collection:
        collection.upsert_arrays(np.arange(9000, dtype=np.uint64), np.random.default_rng(1).normal(size=(9000, 3)))
    search = ("vector", "search", str(folder), "--vector", "[1, 1, 1]", "--json")
    late, in_time = run(*search, "--deadline", "0"), run(*search, "--deadline", "1000")
    assert (late.exit_code, in_time.exit_code) == (0, 0)
    assert "the time was over" in late.stderr
    assert in_time.stderr == ""
    assert len(json.loads(late.stdout)) > 0
