"""What the databases are compared on: points of a set with a number and a sentence each, questions, exact answers."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.vector.database_environments import cache
from benchmarks.vector.databases.database import FILTERS, PREFETCH, RRF_K
from benchmarks.vector.sentences import stored as stored_sentences
from benchmarks.vector.sets import clustered, nearest_of, sentences

SETS = {"clustered": clustered, "sentences": sentences}
HYBRID_QUESTIONS = 200
WORDS = 4  # of a question: the longest of a sentence
K1, B = 1.2, 0.75  # of BM25, as every database here has them
_WORD = re.compile(r"[a-z0-9]+")


def points_file(name: str, rows: int) -> Path:
    """Return the file of points, their numbers and sentences, questions and exact answers, made once."""
    path = cache() / f"points-{name}-{rows}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = SETS[name](rows)
        texts = stored_sentences()[0]
        words = [question_of(text) for text in texts[-len(made.queries) :]]
        numbers = np.random.default_rng(7).integers(0, 1000, rows)
        by_vector = nearest_of(made.rows, made.queries[:HYBRID_QUESTIONS], PREFETCH)
        by_words = best_by_words(texts[:rows], words[:HYBRID_QUESTIONS], PREFETCH)
        given: dict[str, Any] = {  # Any: the names have spaces, so they cannot be keywords
            "rows": made.rows,
            "queries": made.queries,
            "nearest": made.nearest,
            "numbers": numbers,
            "texts": np.array([text.encode() for text in texts[:rows]]),
            "words": np.array([text.encode() for text in words]),
            "hybrid": np.array([joined(a, b) for a, b in zip(by_vector.tolist(), by_words, strict=True)]),
        }
        for label, below in FILTERS.items():
            allowed = np.flatnonzero(numbers < below)
            given[f"nearest {label}"] = allowed[nearest_of(made.rows[allowed], made.queries, 10)]
        unfinished = path.with_suffix(".new.npz")
        np.savez(unfinished, **given)
        unfinished.rename(path)
    return path


def question_of(text: str) -> str:
    """Return the longest words of a text, in its order: what somebody might look for it by."""
    words = dict.fromkeys(_WORD.findall(text.lower()))
    longest = set(sorted(words, key=lambda word: (-len(word), word))[:WORDS])
    return " ".join(word for word in words if word in longest)


def best_by_words(texts: Sequence[str], questions: Sequence[str], k: int) -> list[list[int]]:
    """Return the texts with the best BM25 for each question, the lower number first among equals."""
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    lengths = np.array([sum(count.values()) for count in counts])
    mean = float(lengths.mean())
    postings: dict[str, list[tuple[int, int]]] = {word: [] for question in questions for word in question.split()}
    for number, count in enumerate(counts):
        for word in count.keys() & postings.keys():
            postings[word].append((number, count[word]))
    found = []
    for question in questions:
        scores: defaultdict[int, float] = defaultdict(float)
        for word in question.split():
            weight = log(1 + (len(texts) - len(postings[word]) + 0.5) / (len(postings[word]) + 0.5))
            for number, times in postings[word]:
                bound = K1 * (1 - B + B * lengths[number] / mean)
                scores[number] += weight * times * (K1 + 1) / (times + bound)
        found.append(sorted(scores, key=lambda number: (-scores[number], number))[:k])
    return found


def joined(first: Sequence[int], second: Sequence[int], k: int = 10) -> NDArray[np.int64]:
    """Return the best of two lists by reciprocal ranks."""
    scores: defaultdict[int, float] = defaultdict(float)
    for some in (first, second):
        for place, number in enumerate(some, 1):
            scores[number] += 1 / (RRF_K + place)
    return np.array(sorted(scores, key=lambda number: (-scores[number], number))[:k], np.int64)
