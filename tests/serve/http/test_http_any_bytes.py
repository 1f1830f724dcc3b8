"""Any sequence of requests, cut anywhere: the same answers, in order. Any other bytes: an answer or a close."""

import asyncio
from dataclasses import dataclass

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.http.http_peer import Answer, Peer, answers, echo_router

from hekla.serve.http.limits import HttpLimits


@dataclass(frozen=True)
class Sent:
    """One request and the answer it must get."""

    method: bytes
    text: bytes
    status: int
    body: bytes


def _body(seed: int, size: int) -> bytes:
    return bytes((seed * 31 + place * 7 + place // 251) % 256 for place in range(min(size, 1021))) * (size // 1021 + 1)


@st.composite
def _requests(draw: st.DrawFn) -> Sent:
    kind = draw(st.sampled_from(["get", "head", "missing", "length", "length", "chunked", "expect", "absolute"]))
    extra = b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(draw(st.integers(0, 3))))
    if kind == "get":
        return Sent(b"GET", b"GET /hello/you HTTP/1.1\r\nHost: t\r\n" + extra + b"\r\n", 200, b"you")
    if kind == "head":
        return Sent(b"HEAD", b"HEAD /hello/you HTTP/1.1\r\nHost: t\r\n" + extra + b"\r\n", 200, b"")
    if kind == "absolute":
        return Sent(b"GET", b"GET http://t/hello/a%20b?q=1 HTTP/1.1\r\nHost: t\r\n" + extra + b"\r\n", 200, b"a b")
    if kind == "missing":
        text = b"POST /hello/you HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n" + extra + b"\r\nabc"
        return Sent(b"POST", text, 405, b"")
    size = draw(st.sampled_from([0, 1, 100, 5000, 16300, 16384, 16385, 40_000, 100_000]))
    body = _body(draw(st.integers(0, 255)), size)[:size]
    path = draw(st.sampled_from([b"/echo", b"/soon"]))
    head = b"POST " + path + b" HTTP/1.1\r\nHost: t\r\n" + extra
    if kind == "chunked":
        step = draw(st.integers(max(1, size // 20), size + 1))
        chunks = b"".join(
            b"%x%b\r\n%b\r\n"
            % (len(body[place : place + step]), draw(st.sampled_from([b"", b";a=b"])), body[place : place + step])
            for place in range(0, size, step)
        )
        trailer = draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
        return Sent(
            b"POST", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n", 200, body
        )
    if kind == "expect":
        head += b"Expect: 100-continue\r\n"
    head += b"Inference-Header-Content-Length: 3\r\n" if size > 3 else b""
    return Sent(b"POST", head + b"Content-Length: %d\r\n\r\n" % size + body, 200, body)


def _exchange(text: bytes, cuts: list[int], *, flush_between: bool) -> tuple[bytes, Peer]:
    async def run() -> tuple[bytes, Peer]:
        peer = Peer(router=echo_router([]))
        for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
            await peer.send(text[start:stop])
            if flush_between:
                peer.transport.flush()
                await asyncio.sleep(0)
        return await peer.settle(), peer

    return asyncio.run(run())


def _matches(answer: Answer, sent: Sent) -> bool:
    return answer.status == sent.status and (sent.status != 200 or answer.body == sent.body)


@settings(max_examples=60, deadline=None)
@given(st.lists(_requests(), min_size=1, max_size=6), st.data())
def test_requests_cut_anywhere_get_their_answers_in_order(sent: list[Sent], data: st.DataObject) -> None:
    text = b"".join(request.text for request in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    got, peer = _exchange(text, cuts, flush_between=data.draw(st.booleans()))
    found = answers(got, [request.method for request in sent])
    assert len(found) == len(sent)
    assert all(_matches(answer, request) for answer, request in zip(found, sent, strict=True))
    assert not peer.transport.is_over


def test_a_wrong_answer_is_noticed() -> None:
    sent = Sent(b"GET", b"GET /hello/you HTTP/1.1\r\nHost: t\r\n\r\n", 200, b"me")
    got, _ = _exchange(sent.text, [], flush_between=False)
    assert not _matches(answers(got, [b"GET"])[0], sent)


@pytest.mark.slow
def test_requests_in_single_bytes_get_their_answers() -> None:
    body = _body(1, 17_000)[:17_000]
    text = b"POST /soon HTTP/1.1\r\nHost: t\r\nContent-Length: 17000\r\n\r\n" + body
    chunked = b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    whole = (text + chunked) * 2
    got, _ = _exchange(whole, list(range(1, len(whole))), flush_between=False)
    assert [answer.body for answer in answers(got, [b"POST"] * 4)] == [body, b"abc"] * 2


_TAILS = st.sampled_from(
    [b"\r\n", b"\n", b"\x00", b" ", b"\r", b":", b"chunked", b"0\r\n\r\n", b"GET ", b"Host: t\r\n"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_requests(), min_size=1, max_size=3), st.data())
def test_changed_bytes_are_answered_or_end_the_connection(sent: list[Sent], data: st.DataObject) -> None:
    text = bytearray(b"".join(request.text[:2000] for request in sent))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(text) - 1, 0)))
        how = data.draw(st.sampled_from(["set", "insert", "delete"]))
        if how == "set" and text:
            text[place] = data.draw(st.integers(0, 255))
        elif how == "insert":
            text[place:place] = data.draw(_TAILS)
        else:
            del text[place : place + data.draw(st.integers(1, 8))]
    got, peer = _exchange(bytes(text), [], flush_between=True)
    # Each answer is one to h11 too (to a HEAD, one without a body: then h11 cannot tell the next).
    if b"HEAD" not in text:
        heads = got.count(b"HTTP/1.1 ")
        found = answers(got, [b"POST"] * heads)
        assert found or not got or got.startswith(b"HTTP/1.1 100 ")
    # What came in no request is waited for; the wait ends.
    if not peer.transport.is_over:
        peer.protocol.check_time(peer.clock.now + 1000)
        assert peer.transport.is_over


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered_or_end_the_connection(text: bytes) -> None:
    got, peer = _exchange(text, [], flush_between=False)
    if got:
        assert answers(got, [b"POST"])[0].status in (400, 431)
    if not peer.transport.is_over:
        peer.protocol.check_time(peer.clock.now + 1000)
        assert peer.transport.is_over


def test_our_answers_keep_h11_content_where_a_header_is_strange() -> None:
    text = b"GET /hello/x HTTP/1.1\r\nHost: t\r\nX-Request-Id: \xe9 a\tb\r\n\r\n"
    got, _ = _exchange(text, [], flush_between=False)
    assert answers(got, [b"GET"])[0].headers[b"x-request-id"] == b"\xe9 a\tb"


def test_h11_refuses_a_broken_answer() -> None:
    with pytest.raises(h11.RemoteProtocolError):
        answers(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", [b"GET"])


def test_a_body_over_the_limit_is_refused_in_both_framings() -> None:
    async def run(text: bytes) -> tuple[int, bool]:
        peer = Peer(limits=HttpLimits(body_bytes=10))
        await peer.send(text)
        return answers(await peer.settle(), [b"POST"])[0].status, peer.transport.eof_written

    head = b"POST /echo HTTP/1.1\r\nHost: t\r\n"
    assert asyncio.run(run(head + b"Content-Length: 11\r\n\r\n")) == (413, True)
    assert asyncio.run(run(head + b"Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\n")) == (413, True)
