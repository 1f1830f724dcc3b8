"""What `/metrics` and `/sla` say of models that write text."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.running_server import RunningServer
from tests.serve.text.sse_client import board_row

pytestmark = pytest.mark.slow

ASKED = {"model": "words", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "ignore_eos": True}


def test_what_was_read_and_written_is_counted_by_tenant(text_server: RunningServer) -> None:
    labels = {"model": "words", "tenant": "eve"}
    for _ in range(3):
        assert text_server.post_json("/v1/chat/completions", {**ASKED, "user": "eve"}).status == 200
    assert text_server.metric("hekla_text_tokens_total", kind="prompt", **labels) == 18
    assert text_server.metric("hekla_text_tokens_total", kind="answer", **labels) == 24
    assert text_server.metric("hekla_text_answers_total", reason="length", **labels) == 3
    assert text_server.metric("hekla_text_first_token_seconds_count", **labels) == 3
    assert text_server.metric("hekla_text_between_tokens_seconds_count", **labels) == 21
    assert text_server.metric("hekla_text_pages", model="words") == 1024
    measures = ("first_token", "between_tokens", "speed")
    grades = [text_server.metric("hekla_text_sla_grade", measure=measure, **labels) for measure in measures]
    assert text_server.metric("hekla_text_sla_grade", measure="all", **labels) == min(grades)
    row = next(row for row in board_row(text_server, "words")["tenants"] if row["tenant"] == "eve")
    assert (row["answer_tokens"], row["answers"]) == (24, 3)
    assert row["first_token_p50_ms"] <= row["first_token_p95_ms"]


def test_the_page_is_what_prometheus_reads(text_server: RunningServer) -> None:
    names = {family.name for family in text_string_to_metric_families(text_server.request("GET", "/metrics").text)}
    assert {"hekla_text_tokens", "hekla_text_sla_grade", "hekla_text_first_token_seconds"} <= names


def test_the_models_answered_requests_count_those_over_openais_api(text_server: RunningServer) -> None:
    before = text_server.metric("hekla_requests_total", model="words")
    text_server.post_json("/v1/chat/completions", ASKED)
    assert text_server.metric("hekla_requests_total", model="words") == before + 1
