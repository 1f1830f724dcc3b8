"""The board: what each tenant of each model that writes text got over the last minute, and the grade that deserves.

Three measures, each with its own grade; the whole is the worst of them. A measure that saw nothing has none.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from hekla.serve.config import SlaConfig
from hekla.serve.text.model import TextModel
from hekla.serve.text.statistics import TenantStatistics

Grade = Literal["gold", "silver", "bronze", "none"]
GRADES: tuple[Grade, ...] = ("gold", "silver", "bronze", "none")
Json = dict[str, Any]  # the board's document


def board(models: Iterable[TextModel], now: Callable[[], float] = time.monotonic) -> list[Json]:
    """Return a row per model and version, with a row per tenant in it."""
    return [_model_row(model, now()) for model in models]


def graded(statistics: TenantStatistics, sla: SlaConfig, now_s: float) -> Json:
    """Return measures and grades; seconds are milliseconds here, as the thresholds are."""
    first = _milliseconds(statistics.recent_first_s.quantile(0.95, now_s))
    between = _milliseconds(statistics.recent_between_s.quantile(0.95, now_s))
    speed = statistics.recent_speed.quantile(0.5, now_s)
    grades = {
        "first_token": None if first is None else _grade(first, sla.first_token_ms, at_most=True),
        "between_tokens": None if between is None else _grade(between, sla.between_tokens_ms, at_most=True),
        "speed": None if speed is None else _grade(speed, sla.tokens_per_s, at_most=False),
    }
    known = [grade for grade in grades.values() if grade is not None]
    return {
        "grade": max(known, key=GRADES.index) if known else None,
        "grades": grades,
        "first_token_p50_ms": _milliseconds(statistics.recent_first_s.quantile(0.5, now_s)),
        "first_token_p95_ms": first,
        "between_tokens_p50_ms": _milliseconds(statistics.recent_between_s.quantile(0.5, now_s)),
        "between_tokens_p95_ms": between,
        "answer_tokens_per_s": None if speed is None else round(speed, 2),
        "tokens_per_s": round(statistics.tokens_per_s(now_s), 2),
        "prompt_tokens": statistics.prompt_tokens,
        "cached_tokens": statistics.cached_tokens,
        "answer_tokens": statistics.answer_tokens,
        "answers": sum(statistics.finished.values()),
    }


def _model_row(model: TextModel, now_s: float) -> Json:
    tenants = [{"tenant": name, **graded(seen, model.config.text.sla, now_s)} for name, seen in model.text_statistics]
    known = [row["grade"] for row in tenants if row["grade"] is not None]
    status, info, sla = model.runner.status, model.info, model.config.text.sla
    return {
        "model": model.name,
        "version": str(model.version),
        "family": info.family,
        "quantisation": info.quantisation,
        "context_tokens": info.context_tokens,
        "has_chat_template": info.has_chat_template,
        "can_call_tools": info.can_call_tools,
        "is_ready": model.is_ready,
        "grade": max(known, key=GRADES.index) if known else None,
        "tokens_per_s": round(sum(row["tokens_per_s"] for row in tenants), 2),
        "waiting": model.waiting,
        "running": model.running,
        "pages": status.pages,
        "free_pages": status.free_pages,
        "thresholds": {
            "first_token_ms": list(sla.first_token_ms),
            "between_tokens_ms": list(sla.between_tokens_ms),
            "tokens_per_s": list(sla.tokens_per_s),
        },
        "tenants": tenants,
    }


def _grade(value: float, bounds: Sequence[float], *, at_most: bool) -> Grade:
    for grade, bound in zip(GRADES, bounds, strict=False):
        if value <= bound if at_most else value >= bound:
            return grade
    return "none"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
