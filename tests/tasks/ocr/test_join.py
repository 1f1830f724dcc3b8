"""The lines of an answer."""

from pathlib import Path

import numpy as np
import pytest

from hekla.base.errors import ConfigError, EngineError
from hekla.protocols.stage import StageSource, Values
from hekla.tasks.ocr.join import load_join


def joined(texts: list[str], scores: list[float], boxes: int | None = None, **options: object) -> Values:
    """Run the stage on what `for_each` gathers; the boxes are numbered."""
    count = len(texts) if boxes is None else boxes
    values = {
        "text": [np.array([text.encode()], dtype=np.object_) for text in texts],
        "score": [np.array([score], dtype=np.float32) for score in scores],
        "boxes": np.arange(count, dtype=np.float32).repeat(8).reshape(count, 4, 2),
    }
    return load_join(StageSource("ocr", Path(), options, "model.toml: step join")).run(values, {})


def test_lines_keep_their_order_and_their_boxes() -> None:
    answer = joined(["one", "zwölf", "漢"], [0.9, 0.6, 1.0])
    assert answer["text"].tolist() == [b"one", "zwölf".encode(), "漢".encode()]
    assert answer["scores"].tolist() == pytest.approx([0.9, 0.6, 1.0])
    assert answer["boxes"][:, 0, 0].tolist() == [0, 1, 2]


def test_doubtful_and_empty_lines_are_dropped_with_their_boxes() -> None:
    answer = joined(["doubtful", "sure", "", " \u3000", "just"], [0.49, 0.9, 0.9, 0.9, 0.5])
    assert answer["text"].tolist() == [b"sure", b"just"]
    assert answer["boxes"][:, 0, 0].tolist() == [1, 4]
    assert len(answer["scores"]) == 2


def test_the_least_score_is_an_option() -> None:
    assert joined(["a", "b"], [0.2, 0.3], min_score=0.25)["text"].tolist() == [b"b"]


def test_no_lines_are_three_empty_tensors() -> None:
    answer = joined([], [])
    assert [answer[name].shape for name in ("text", "scores", "boxes")] == [(0,), (0,), (0, 4, 2)]
    assert [answer[name].dtype for name in ("text", "scores", "boxes")] == [np.object_, np.float32, np.float32]


def test_another_number_of_boxes_is_a_fault() -> None:
    with pytest.raises(EngineError, match="1 texts and 1 scores came for 2 boxes"):
        joined(["a"], [1.0], boxes=2)


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"step join\.min_score: expected from 0 to 1, got 2"):
        joined([], [], min_score=2)
