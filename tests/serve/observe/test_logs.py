"""Logs as JSON, one object a line."""

import json
import logging
import sys

from hekla.serve.observe.logs import JsonFormatter


def _line(message: str, *args: object, exception: bool = False, **extra: object) -> dict[str, object]:
    record = logging.LogRecord(
        "hekla.serve", logging.WARNING, "x.py", 1, message, args, sys.exc_info() if exception else None
    )
    record.created = 1_700_000_000.25
    record.__dict__.update(extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_line_says_when_how_bad_who_what_and_what_it_is_about() -> None:
    assert _line("%d of %d", 1, 2, request_id="r", trace_id="t", model="m") == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "hekla.serve",
        "message": "1 of 2",
        "request_id": "r",
        "trace_id": "t",
        "model": "m",
    }


def test_what_json_has_no_word_for_is_written_as_text() -> None:
    assert _line("m", path=Ellipsis)["path"] == "Ellipsis"


def test_a_name_that_is_no_utf8_and_a_number_beyond_64_bits_do_not_lose_the_line() -> None:
    assert _line("no such file: %s", "caf\udce9")["message"] == "no such file: caf\udce9"
    assert _line("m", count=2**80)["count"] == 2**80


def test_an_exception_is_a_field() -> None:
    try:
        raise ValueError("a bug")
    except ValueError:
        line = _line("failed", exception=True)
    assert "ValueError: a bug" in str(line["exception"])
