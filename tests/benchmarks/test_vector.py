"""The comparison of vector indexes: its sets, and how a rate at a recall is read off."""

import json

import numpy as np
import pytest

from benchmarks.vector.__main__ import header, rate_at, read_result, row
from benchmarks.vector.database import failure
from benchmarks.vector.database_points import best_by_words, joined, question_of
from benchmarks.vector.database_tables import best_of, chosen_knob
from benchmarks.vector.opening import dimension_of, points
from benchmarks.vector.sentences import docstrings, sentences_of, without_roff
from benchmarks.vector.sets import clustered, local_intrinsic_dimension, low_rank_unit, nearest_of, recall
from benchmarks.vector.whole import chosen


def test_a_set_is_the_same_each_time_and_its_answers_are_exact() -> None:
    some, again = (
        clustered(600, dimension=32, queries=5, intrinsic=20),
        clustered(600, dimension=32, queries=5, intrinsic=20),
    )
    assert (some.rows == again.rows).all()
    distances = ((some.rows - some.queries[0]) ** 2).sum(axis=1)
    assert some.nearest[0].tolist() == np.argsort(distances)[:10].tolist()
    assert 5 < local_intrinsic_dimension(some, k=20, sample=50) < 32


def test_unit_vectors_have_length_one() -> None:
    assert np.allclose(np.linalg.norm(low_rank_unit(300, dimension=48, queries=3).rows, axis=1), 1, atol=1e-5)


def test_recall_counts_what_was_found() -> None:
    assert recall(np.array([[1, 2], [3, 9]]), np.array([[2, 1], [3, 4]])) == 0.75


def test_a_rate_lies_between_the_points_around_the_recall() -> None:
    points = [(10, 0.8, 1000.0), (20, 0.9, 100.0), (30, 0.97, 90.0)]
    assert rate_at(points, 0.85) == pytest.approx(316.2, rel=1e-3)
    assert rate_at(points, 0.9) == pytest.approx(100)
    assert rate_at(points, 0.5) == 1000.0
    assert rate_at(points, 0.99) is None


def test_a_result_read_again_has_a_line_with_a_cell_for_each_heading() -> None:
    line = json.dumps(
        {
            "name": "x",
            "settings": "",
            "build_cpu_s": 1.0,
            "build_s": 0.5,
            "bytes": 100.0,
            "points": {1: [(10, 0.96, 50.0)], 2: [(10, 0.96, 90.0)]},
        }
    )
    found = row(read_result(line))
    assert found == "| x | 50 | 50 | - | 90 | 90 | - | 0.9600 | 100 | 1.0 | 0.5 |"
    assert found.count("|") == header([1, 2]).splitlines()[0].count("|")


def test_sentences_are_taken_from_prose_and_from_nothing_else() -> None:
    text = """A module that reads things.  It is short.

        >>> read(x)
        5
        Usage: frob [options]

        Every line of the file is read
        once, and never again (see above)."""
    assert list(sentences_of(text)) == [
        "A module that reads things.",
        "Every line of the file is read once, and never again (see above).",
    ]


def test_a_manual_page_loses_its_requests_and_keeps_its_words() -> None:
    page = ".TH CAT 1\n.SH NAME\ncat \\- joins files\n.PP\nWith \\fIno file\\fR it reads\n.BR stdin .\n"
    assert without_roff(page).split("\n")[2:] == ["cat - joins files", "", "With no file it reads", "stdin."]


def test_docstrings_of_what_is_no_python_are_none() -> None:
    assert list(docstrings("def f(:")) == []
    assert list(docstrings('"""One."""\nclass A:\n    """Two."""\n')) == ["One.", "Two."]


def test_the_best_by_words_are_those_with_the_rare_ones() -> None:
    texts = ["red apple", "red car", "red red red", "a blue apple pie of some length"]
    assert best_by_words(texts, ["red apple", "pie"], 2) == [[0, 2], [3]]
    assert (
        question_of("It is the most remarkable instrument of all, remarkable indeed")
        == "most remarkable instrument indeed"
    )


def test_two_lists_are_joined_by_their_ranks() -> None:
    assert joined([5, 7, 9], [7, 1]).tolist() == [7, 5, 1, 9]


def test_the_exact_answers_of_the_databases_are_in_order() -> None:
    rows = np.eye(4, dtype=np.float32)
    assert nearest_of(rows, rows[2:3] + 0.1 * rows[:1], 2).tolist() == [[2, 0]]


def test_a_call_that_hangs_is_told_from_one_that_fails() -> None:
    hang = 'Timeout (0:00:50)!\nThread 0x1 (most recent call first):\n  File "/x/collection.py", line 7 in query\n'
    assert failure(hang) == 'hangs: a call did not return (collection.py", line 7 in query)'
    assert failure("Traceback ...\nValueError: no") == "ValueError: no"


def test_of_two_sweeps_the_faster_point_counts() -> None:
    one = {"all": [{"knob": 10, "recall": 0.9, "qps": 5.0}], "hybrid": {"p50_us": 3.0}}
    two = {"all": [{"knob": 10, "recall": 0.9, "qps": 7.0}, {"knob": 20, "recall": 0.99, "qps": 2.0}]}
    best = best_of([one, {**two, "hybrid": {"p50_us": 2.0}}, {"error": "hangs"}])
    assert [point["qps"] for point in best["all"]] == [7.0, 2.0]
    assert best["hybrid"]["p50_us"] == 2.0
    assert chosen_knob(best["all"], 0.95) == 20
    assert chosen_knob(best["all"], 0.999) == 20


def test_points_of_a_block_are_the_same_each_time_and_differ_between_blocks() -> None:
    assert points(3, 4, 8).tolist() == points(3, 4, 8).tolist()
    assert points(3, 4, 8).tolist() != points(4, 4, 8).tolist()
    assert (dimension_of(1_000_000), dimension_of(10_000_000)) == (128, 32)


def test_a_step_that_is_none_is_refused_by_name() -> None:
    assert [step.name for step in chosen("codes,opening", is_mixed=True)] == ["opening", "codes"]
    assert chosen("", is_mixed=True)[-1].name == "mixed"
    with pytest.raises(ValueError, match="no step is named cods"):
        chosen("cods", is_mixed=False)
