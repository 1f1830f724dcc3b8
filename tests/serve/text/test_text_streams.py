"""Streams of a running server: readers that go away, are slow, come too many; and the server's own end."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.running_server import RunningServer, running_server
from tests.serve.text.sse_client import EventReader, board_row, reading, wait_for
from tests.text_models import write_text_model

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
ENDLESS: dict[str, Any] = {"messages": HI, "ignore_eos": True}  # Any: JSON


def test_a_client_that_goes_away_frees_its_pages(text_server: RunningServer) -> None:
    with reading(text_server, CHAT, {"model": "slow", **ENDLESS}) as reader:
        events = reader.events()
        for _ in range(3):
            next(events)
        wait_for(text_server, "slow", lambda row: row["free_pages"] < 1024, running=1)
        before = text_server.metric("hekla_requests_cancelled_total", model="slow")
    wait_for(text_server, "slow", running=0, waiting=0, free_pages=1024)
    assert text_server.metric("hekla_requests_cancelled_total", model="slow") == before + 1


def test_a_client_that_goes_away_before_its_whole_answer_frees_its_pages(text_server: RunningServer) -> None:
    connection = http.client.HTTPConnection(*text_server.host_and_port)
    connection.request("POST", CHAT, json.dumps({"model": "slow", **ENDLESS}))
    wait_for(text_server, "slow", running=1)
    connection.close()
    wait_for(text_server, "slow", running=0, waiting=0, free_pages=1024)


def test_more_than_may_wait_are_refused_at_once_and_told_when_to_come_back(text_server: RunningServer) -> None:
    asked = {"model": "narrow", **ENDLESS}
    with reading(text_server, CHAT, asked) as first:
        next(first.events())
        wait_for(text_server, "narrow", running=1, waiting=0)
        with reading(text_server, CHAT, asked), reading(text_server, CHAT, asked):
            wait_for(text_server, "narrow", running=1, waiting=2)
            reply = text_server.post_json(CHAT, asked)
            assert (reply.status, reply.json()["error"]["type"]) == (429, "rate_limit_error")
            assert int(reply.headers["retry-after"]) >= 1
            many = text_server.post_json(CHAT, {**asked, "model": "words", "n": 128})
            assert many.status == 200, "other models are not held up"
    wait_for(text_server, "narrow", running=0, waiting=0)


def test_the_urgent_come_first(text_server: RunningServer) -> None:
    order: list[str] = []

    def ask(name: str, priority: int) -> None:
        text_server.post_json(CHAT, {"model": "narrow", "messages": HI, "max_tokens": 2, "priority": priority})
        order.append(name)

    with reading(text_server, CHAT, {"model": "narrow", **ENDLESS}) as first:
        next(first.events())
        wait_for(text_server, "narrow", running=1, waiting=0)
        threads = []
        for number, (name, priority) in enumerate((("late", 3), ("urgent", 1))):
            threads.append(threading.Thread(target=ask, args=(name, priority)))
            threads[-1].start()
            wait_for(text_server, "narrow", running=1, waiting=number + 1)
    for thread in threads:
        thread.join()
    assert order == ["urgent", "late"]


def test_a_deadline_ends_what_is_written_and_refuses_what_still_waits(text_server: RunningServer) -> None:
    reply = text_server.post_json(CHAT, {"model": "slow", **ENDLESS, "timeout_ms": 300})
    (choice,) = reply.json()["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", "deadline")
    with reading(text_server, CHAT, {"model": "narrow", **ENDLESS}) as first:
        next(first.events())
        late = text_server.post_json(CHAT, {"model": "narrow", **ENDLESS, "timeout_ms": 100})
        assert (late.status, late.json()["error"]["type"]) == (504, "timeout_error")


def test_tenants_are_counted_apart(text_server: RunningServer) -> None:
    chat = {"model": "words", "messages": HI, "max_tokens": 3, "seed": 1}
    text_server.post_json(CHAT, {**chat, "user": "ann"})
    text_server.post_json(CHAT, {**chat, "user": "ann"}, {"x-hekla-tenant": "bob"})
    tenants = {row["tenant"]: row for row in board_row(text_server, "words")["tenants"]}
    assert tenants["ann"]["answer_tokens"] == tenants["bob"]["answer_tokens"] == 3
    assert tenants["ann"]["grade"] in ("gold", "silver", "bronze", "none")


@pytest.fixture(scope="module")
def long_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("long")
    write_text_model(repository, "long", engine="context = 400000\npages = 30000")
    with running_server(repository) as running:
        yield running


def _resident_mb(server: RunningServer) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_a_reader_that_is_slow_gets_all_of_it_and_the_server_does_not_grow(long_server: RunningServer) -> None:
    tokens = 25_000  # framed 5 MB: the kernel's own buffers take under 3
    asked = {"model": "long", **ENDLESS, "max_tokens": tokens, "seed": 1, "stream_options": {"include_usage": True}}
    with reading(long_server, CHAT, asked, receive_bytes=1 << 16) as reader:
        wait_for(long_server, "long", running=1)
        before_mb = _resident_mb(long_server)
        for _ in range(20):  # a byte at a time, as the worst of clients
            reader.response.read(1)
        wait_for(long_server, "long", running=0, waiting=0)
        grown_mb = _resident_mb(long_server) - before_mb
        pieces = events = written = 0
        for document in reader.events():
            events += 1
            for choice in document["choices"]:
                pieces += len(choice["delta"].get("content") or "")
            if document["usage"]:
                written = document["usage"]["completion_tokens"]
    assert written == tokens
    assert events < 0.8 * tokens, "what was not read in time came joined"
    assert pieces > 0.8 * tokens
    assert grown_mb < 20, "the engine keeps the text's tokens; framed they would be 3 MB in the server besides"


def test_a_reader_of_logprobs_that_does_not_read_is_cut_off(long_server: RunningServer) -> None:
    asked = {"model": "long", **ENDLESS, "logprobs": True, "top_logprobs": 20, "max_tokens": 300_000}
    with reading(long_server, CHAT, asked, receive_bytes=4096):
        wait_for(long_server, "long", running=1)
        row = wait_for(long_server, "long", running=0, waiting=0)
    assert row["tenants"][0]["answers"] >= 1


def test_a_model_that_is_swapped_finishes_what_it_writes(text_server: RunningServer) -> None:
    asked = {"model": "slow", "messages": HI, "max_tokens": 40, "ignore_eos": True}
    with reading(text_server, CHAT, asked) as reader:
        events = reader.events()
        next(events)
        assert text_server.post_json("/v2/repository/models/slow/load", {}).status == 200
        reasons = [choice["finish_reason"] for document in events for choice in document["choices"]]
    assert reasons[-1] == "length"
    with reading(text_server, CHAT, asked) as reader:
        events = reader.events()
        next(events)
        unloading = threading.Thread(target=text_server.post_json, args=("/v2/repository/models/slow/unload", {}))
        unloading.start()
        reasons = [choice["finish_reason"] for document in events for choice in document["choices"]]
        unloading.join()
    assert reasons[-1] == "length"
    assert text_server.post_json(CHAT, asked).status == 503
    assert text_server.post_json("/v2/repository/models/slow/load", {}).status == 200


def test_a_connection_goes_on_after_a_stream(text_server: RunningServer) -> None:
    connection = http.client.HTTPConnection(*text_server.host_and_port)
    for _ in range(3):
        connection.request("POST", CHAT, json.dumps({"model": "words", "messages": HI, "stream": True}))
        response = connection.getresponse()
        assert response.read().endswith(b"data: [DONE]\n\n")
    connection.close()


@pytest.mark.parametrize("tokens", [20, 100_000])
def test_a_server_that_stops_ends_its_streams_properly(tmp_path: Path, tokens: int) -> None:
    write_text_model(tmp_path, "slow", engine="pace_ms = 20\ncontext = 200000\npages = 20000")
    with running_server(tmp_path, args=["--drain-s", "2"]) as server:
        asked = {"model": "slow", **ENDLESS, "max_tokens": tokens}
        whole: list[Any] = []  # Any: a reply
        waiting = threading.Thread(target=lambda: whole.append(server.post_json(CHAT, asked)))
        waiting.start()
        reader = EventReader(server, CHAT, asked)
        events = reader.events()
        next(events)
        wait_for(server, "slow", running=2)
        server.terminate()
        last = [choice for document in events for choice in document["choices"]][-1]
        waiting.join()
        reader.close()
        assert server.wait() == 0
    wanted = "server_stopping" if tokens == 100_000 else None
    assert (last["finish_reason"], last.get("stop_reason")) == ("length", wanted)
    (choice,) = whole[0].json()["choices"]
    assert (choice["finish_reason"], choice.get("stop_reason")) == ("length", wanted)
