"""Like requests of one turn are answered as one batch, and nobody could tell: not by an answer, not by a neighbour."""

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import pytest
from tests.serve.express_world import (
    WARM,
    World,
    answer_of,
    binary_request,
    json_request,
    world,
    write_echo,
    write_model,
)

from hekla.base.dtypes import DType
from hekla.protocols.tensor import Tensors

_NUMBERS = {
    "FP32": ["[1,2]", "[-0.1, 3e-5]", "[1e20,1E+2]", "[ 16777217,0 ]", "[-0.0,-0]", "[3.4028235e38,1e-46]"],
    "FP64": ["[1,2]", "[0.1,1e300]", "[-1.2345678901234567e-308,5e-324]", "[9007199254740993,18446744073709551615]"],
    "INT8": ["[1,-128]", "[127,0]"],
    "INT16": ["[1,-32768]", "[-0,7]"],
    "INT32": ["[1,-2147483648]", "[5,6]"],
    "INT64": ["[1,-9223372036854775808]", "[9223372036854775807,2]"],
    "UINT8": ["[1,255]", "[0,3]"],
    "UINT16": ["[1,65535]", "[0,3]"],
    "UINT32": ["[1,4294967295]", "[0,3]"],
    "UINT64": ["[1,18446744073709551615]", "[0,3]"],
}
_BAD = {
    "two lists": "[1],[2",
    "tail of one": "1],[2",
    "tail": "1]",
    "nothing between": "[1,,2]",
    "one": "[1]",
    "three": "[1,2,3]",
    "none": "[]",
    "nested twice": "[[1,2],[3,4]]",
    "unclosed": "[[1,2]",
    "unopened": "[1,2]]",
    "joined": "[1,2],[3,4]",
    "infinite": "[1,1e999]",
    "too large": "[1,1e39]",
    "too large, in digits": "[1,1" + "0" * 45 + "]",
    "blank": " ",
    "spaces": "[1 2]",
    "minus": "[1,-]",
    "exponent": "[1,e]",
    "point": "[1,.5]",
    "leading zero": "[01,2]",
    "comma": "[1,2],",
    "reversed": "]1,2[",
    "text": '["1",2]',
    "null": "[null,2]",
}


async def _same(folder: Path, warm: bytes, *requests: bytes, takes: bool = True) -> None:
    """Check that requests of one turn get, to the byte, what they get one by one from a host without a short way."""
    async with world(folder) as quick, world(folder, ordinary=True) as plain:
        for it in (quick, plain):
            await it.warm(warm)
        calls, queued = len(quick.engines[0].calls), quick.served.statistics.join.count
        got = await quick.ask(*requests)
        expected = [(await plain.ask(request))[0] for request in requests]
        assert got == expected
        if takes:
            assert len(quick.engines[0].calls) == calls + 1, "one call for all"
            assert quick.served.statistics.join.count == queued, "past the queue"
        _check_counts(quick, WARM + len(requests), 0)


def _check_counts(it: World, answered: int, failed: int) -> None:
    served = it.served
    assert served.in_flight == 0
    assert served.statistics.total_s.count == answered
    assert served.statistics.failure.count == failed


@pytest.mark.parametrize("kind", _NUMBERS)
def test_numbers_in_json_are_answered_as_alone(tmp_path: Path, kind: str) -> None:
    write_echo(tmp_path, kind)
    requests = [json_request(numbers, kind) for numbers in _NUMBERS[kind]]
    # A number whose square is infinite is looked at more closely, the ordinary way.
    asyncio.run(_same(tmp_path, json_request("[1,2]", kind), *requests, takes=not kind.startswith("FP")))


def test_small_floats_share_a_call(tmp_path: Path) -> None:
    write_echo(tmp_path)
    requests = [json_request(f"[{n}.25,{-n}e-3]") for n in range(8)]
    asyncio.run(_same(tmp_path, json_request("[1,2]"), *requests))


def test_several_rows_a_request_stay_together(tmp_path: Path) -> None:
    write_echo(tmp_path)
    requests = [json_request(f"[{n},1,2,3]", rows=2, more='"id":"i",') for n in range(4)]
    asyncio.run(_same(tmp_path, requests[0], *requests))


@pytest.mark.parametrize("kind", [k.value for k in DType if k not in (DType.BYTES, DType.BOOL)])
@pytest.mark.parametrize("binary_output", [True, False])
def test_raw_tensors_are_answered_as_alone(tmp_path: Path, kind: str, binary_output: bool) -> None:
    write_echo(tmp_path, kind)
    dtype = DType(kind).numpy
    arrays = [np.array([[n, n + 1], [3, 4]]).astype(dtype) for n in range(4)]
    requests = [binary_request(("x", kind, array), binary_output=binary_output) for array in arrays]
    asyncio.run(_same(tmp_path, requests[0], *requests, takes=kind != "BF16"))  # which has no short way here


def test_several_raw_tensors_are_joined_each_with_its_like(tmp_path: Path) -> None:
    write_model(tmp_path, [("x", "INT8", ["n", 3]), ("w", "FP64", ["n", 2])], [("y", "FP64", ["n", 2])])

    def add(inputs: Tensors) -> Tensors:
        return {"y": inputs["w"] + inputs["x"].sum(axis=1, keepdims=True)}

    requests = [
        binary_request(("x", "INT8", np.full((1, 3), n, np.int8)), ("w", "FP64", np.array([[n / 2, 100.0 + n]])))
        for n in range(8)
    ]

    async def story() -> None:
        async with world(tmp_path, add) as quick, world(tmp_path, add, ordinary=True) as plain:
            for it in (quick, plain):
                await it.warm(requests[0])
            copied = quick.served.statistics.bytes_copied["join"]
            assert await quick.ask(*requests) == [(await plain.ask(request))[0] for request in requests]
            assert quick.engines[0].calls[-1] == 8
            assert quick.served.statistics.bytes_copied["join"] - copied == 8 * (3 + 16)

    asyncio.run(story())


@pytest.mark.parametrize("numbers", _BAD.values(), ids=_BAD)
def test_a_bad_request_gets_its_own_error_and_spoils_nobody(tmp_path: Path, numbers: str) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        good = [json_request(f"[{n},{n}.5]") for n in range(6)]
        bad = json_request(numbers)
        async with world(tmp_path) as quick, world(tmp_path, ordinary=True) as plain:
            for it in (quick, plain):
                await it.warm(good[0])
            expected = [(await plain.ask(request))[0] for request in (*good, bad)]
            assert [answer.status for answer in expected] == [200] * 6 + [400 if numbers != "[[1,2]]" else 200]
            for place in (0, 3, 6):
                requests = [*good[:place], bad, *good[place:]]
                got = await quick.ask(*requests)
                assert got == [*expected[:place], expected[6], *expected[place:6]]
            # Two bad ones that would be good, were they one.
            assert (await quick.ask(bad, bad, good[1]))[2] == expected[1]
            assert quick.served.in_flight == 0

    asyncio.run(story())


def test_halves_that_only_together_are_json_are_each_refused(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            for halves in (("[1,2],[3", "4]"), ("[1", "2]"), ("[[1,2]", "[3,4]]"), ("[1,2", ",3,4]")):
                first, good, second, last = await it.ask(
                    json_request(halves[0]), json_request("[5,6]"), json_request(halves[1]), json_request("[7,8]")
                )
                assert (first.status, second.status) == (400, 400)
                assert good.body.endswith(b'"data":[5.0,6.0]}]}')
                assert last.body.endswith(b'"data":[7.0,8.0]}]}')

    asyncio.run(story())


def test_no_batch_is_larger_than_the_model_takes(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            for rows in (1, 3):
                numbers = ",".join(["7"] * 2 * rows)
                await it.warm(json_request(f"[{numbers}]", rows=rows))
                answers = await it.ask(*[json_request(f"[{numbers}]", rows=rows) for _ in range(21)])
                assert {answer.status for answer in answers} == {200}
            assert max(it.engines[0].calls) == 8
            assert 6 in it.engines[0].calls
            _check_counts(it, 2 * (WARM + 21), 0)

    asyncio.run(story())


def test_an_engine_that_fails_on_one_answers_the_others(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            good, bad, also = await it.ask(*[json_request(f"[{n},0]") for n in (1, 66, 3)])
            assert (good.status, bad.status, also.status) == (200, 500, 200)
            _check_counts(it, WARM + 2, 1)

    asyncio.run(story())


def test_answers_of_another_kind_are_counted_once(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            it.engines[0].compute = lambda inputs: {"y": np.where(inputs["x"] == 5, np.nan, inputs["x"])}
            answers = await it.ask(*[json_request(f"[{n},0]") for n in (4, 5, 6)])
            assert [answer.status for answer in answers] == [200, 500, 200], "JSON has no NaN"
            _check_counts(it, WARM + 3, 0)
            it.engines[0].compute = lambda inputs: {"y": inputs["x"][:1].repeat(2, 0)}
            for _ in range(3):
                await it.ask(*[json_request(f"[{n},0]") for n in (4, 5, 6)])
            assert it.served.in_flight == 0

    asyncio.run(story())


def test_another_version_answers_under_its_own_name(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            write_echo(tmp_path, version=2)
            await it.host.load_model("m")
            for _ in range(8):
                for answer in await it.ask(*[json_request(f"[{n},1]") for n in range(4)]):
                    assert answer.status == 200
                    assert b'"model_version":"2"' in answer.body

    asyncio.run(story())


def test_a_model_that_was_loaded_again_checks_what_it_takes(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            write_model(tmp_path, [("x", "FP32", ["n", 3])], [("y", "FP32", ["n", 2])])
            await it.host.load_model("m")
            for n in range(8):  # warm by others, who know its new shape
                await it.raw({"x": np.full((1, 3), n, np.float32)})
            for _ in range(4):
                answers = await it.ask(*[json_request("[1,2]")] * 4)
                assert {answer.status for answer in answers} == {400}

    asyncio.run(story())


@pytest.mark.parametrize("change", ["reload", "unload", "drain"])
def test_what_came_before_a_change_is_answered_by_the_model_it_came_to(tmp_path: Path, change: str) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            served, peers = it.served, [it.peer() for _ in range(4)]
            for peer in peers:
                peer.offer(json_request("[3,4]"))
            assert served.in_flight == 4
            served.retire()
            if change == "reload":
                going = asyncio.create_task(it.host.load_model("m"))
            elif change == "unload":
                going = asyncio.create_task(it.host.unload_model("m"))
            else:
                going = asyncio.create_task(served.drain())
            for peer in peers:
                assert (await answer_of(peer)).status == 200
            await going
            assert served.in_flight == 0

    asyncio.run(story())


def test_a_client_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            for numbers in ("[3,4]", "[3,,4]"):
                peers = [it.peer() for _ in range(3)]
                for peer in peers:
                    peer.offer(json_request(numbers if peer is peers[1] else "[1,2]"))
                peers[1].protocol.connection_lost(None)
                for peer in (peers[0], peers[2]):
                    assert (await answer_of(peer)).status == 200
                assert not peers[1].transport.sent
                await asyncio.sleep(0)
            assert it.served.in_flight == 0

    asyncio.run(story())


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            peers = [it.peer() for _ in range(3)]
            for number, peer in enumerate(peers):
                peer.offer(b"".join(json_request(f"[{number},{n}]", "FP32") for n in range(5)))
            for number, peer in enumerate(peers):
                for n in range(5):
                    answer = await answer_of(peer, n + 1)
                    assert answer.body.endswith(f'"data":[{number}.0,{n}.0]}}]}}'.encode())

    asyncio.run(story())


def test_headers_come_back_and_long_answers_are_compressed(tmp_path: Path) -> None:
    write_model(tmp_path, [("x", "FP32", ["n", 2])], [("y", "FP64", ["n", 50])])

    def tiny(inputs: Tensors) -> Tensors:
        return {"y": np.full((len(inputs["x"]), 50), -1.2345678901234567e-300)}

    asked = [
        json_request("[1,2]", "FP32", ("x-request-id", f"r{n}"), ("accept-encoding", "gzip"), more='"id":"me",')
        for n in range(3)
    ]

    async def story() -> None:
        async with world(tmp_path, tiny) as quick, world(tmp_path, tiny, ordinary=True) as plain:
            for it in (quick, plain):
                await it.warm(asked[0])
            got = await quick.ask(*asked)
            assert got == [(await plain.ask(request))[0] for request in asked]
            assert [answer.headers[b"x-request-id"] for answer in got] == [b"r0", b"r1", b"r2"]
            assert got[0].headers[b"content-encoding"] == b"gzip"

    asyncio.run(story())


def test_the_queue_is_as_long_as_it_is(tmp_path: Path) -> None:
    write_echo(tmp_path, toml="[queue]\ncapacity = 8\n")

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            statuses = [answer.status for answer in await it.ask(*[json_request("[1,2]")] * 20)]
            assert set(statuses) == {200, 429}
            assert 8 <= statuses.count(200) <= 16
            _check_counts(it, WARM + statuses.count(200), statuses.count(429))

    asyncio.run(story())


def test_a_fallback_does_not_forget_the_way(tmp_path: Path) -> None:
    write_echo(tmp_path)

    async def story() -> None:
        async with world(tmp_path) as it:
            await it.warm(json_request("[1,2]"))
            await it.ask(json_request("[1,2,3]"), *[json_request("[1,2]")] * 3)
            calls = len(it.engines[0].calls)
            await it.ask(*[json_request("[1,2]")] * 4)
            assert it.engines[0].calls[calls:] == [4]
            copied = it.served.statistics.bytes_copied
            with contextlib.suppress(KeyError):
                assert copied["join"] % 8 == 0

    asyncio.run(story())
