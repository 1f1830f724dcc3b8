"""The sequence extension: requests of one correlation id share state and are answered in order."""

import asyncio
import queue
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
from tests.conformance.triton_clients import TritonClient
from tests.running_server import RunningServer
from tritonclient.utils import InferenceServerException

_VALUES = [11, 7, 5, 3, 2, 0, 1]


def _send(client: TritonClient, model: str, sequence: int | str, values: Sequence[int]) -> list[int]:
    answers = []
    for place, value in enumerate(values):
        answer = client.infer(
            model,
            {"INPUT": np.full((1, 1), value, np.int32)},
            ["OUTPUT"],
            sequence_id=sequence,
            sequence_start=place == 0,
            sequence_end=place == len(values) - 1,
        )
        answers.append(int(answer["OUTPUT"][0, 0]))
    return answers


def _new_id() -> int:
    return uuid.uuid4().int >> 65  # any positive 63-bit number


@pytest.mark.parametrize("text_id", [False, True])
def test_the_first_request_of_a_sequence_is_told_apart(client: TritonClient, text_id: bool) -> None:
    sequence: int | str = str(uuid.uuid4()) if text_id else _new_id()
    assert _send(client, "simple_sequence", sequence, [100, *_VALUES]) == [101, *_VALUES]


def test_the_last_request_is_told_apart_and_knows_its_id(client: TritonClient) -> None:
    answers = _send(client, "simple_dyna_sequence", 1000, [0, *_VALUES])
    assert answers == [1, *_VALUES[:-1], _VALUES[-1] + 1000]


def test_a_text_id_reaches_the_model(client: TritonClient) -> None:
    sums = [int(x) for x in np.cumsum([20, *_VALUES])]
    answers = _send(client, "simple_string_dyna_sequence", "1002", [20, *_VALUES])
    assert answers == [*sums[:-1], sums[-1] + 1002]


def test_state_is_carried_from_request_to_request(client: TritonClient) -> None:
    sums = [int(x) for x in np.cumsum(_VALUES)]
    assert _send(client, "running_sum", _new_id(), _VALUES) == sums


def test_an_id_starts_from_zero_after_its_end(client: TritonClient) -> None:
    sequence = _new_id()
    assert _send(client, "running_sum", sequence, [1, 2]) == [1, 3]
    assert _send(client, "running_sum", sequence, [1, 2]) == [1, 3]


def test_sequences_do_not_mix(client: TritonClient) -> None:
    first, second = _new_id(), str(uuid.uuid4())
    one = np.ones((1, 1), np.int32)
    sums: dict[int | str, list[int]] = {first: [], second: []}
    for step in range(4):
        for sequence, factor in ((first, 1), (second, 10)):
            answer = client.infer(
                "running_sum",
                {"INPUT": one * factor},
                sequence_id=sequence,
                sequence_start=step == 0,
                sequence_end=step == 3,
            )
            sums[sequence].append(int(answer["OUTPUT"][0, 0]))
    assert sums == {first: [1, 2, 3, 4], second: [10, 20, 30, 40]}


def test_a_sequence_that_never_started_is_refused(client: TritonClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("simple_sequence", {"INPUT": np.ones((1, 1), np.int32)}, sequence_id=_new_id())
    assert "sequence" in str(caught.value.message())


def test_a_stream_carries_interleaved_sequences_in_order(server: RunningServer) -> None:
    answers: queue.Queue[Any] = queue.Queue()  # (result, error) as tritonclient hands them to its callback
    ids = [_new_id(), _new_id()]
    with tritonclient.grpc.InferenceServerClient(server.grpc_address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for place, value in enumerate(_VALUES):
            for sequence in ids:
                tensor = tritonclient.grpc.InferInput("INPUT", [1, 1], "INT32")
                tensor.set_data_from_numpy(np.full((1, 1), value, np.int32))
                client.async_stream_infer(
                    "running_sum",
                    [tensor],
                    request_id=f"{sequence}_{place}",
                    sequence_id=sequence,
                    sequence_start=place == 0,
                    sequence_end=place == len(_VALUES) - 1,
                )
        found: dict[int, list[int]] = {sequence: [] for sequence in ids}
        for _ in range(2 * len(_VALUES)):
            result, error = answers.get(timeout=30)
            assert error is None, error
            sequence, place = (int(part) for part in result.get_response().id.split("_"))
            assert place == len(found[sequence]), "answers of one sequence overtook one another"
            found[sequence].append(int(result.as_numpy("OUTPUT")[0, 0]))
        client.stop_stream()
    sums = [int(x) for x in np.cumsum(_VALUES)]
    assert found == {ids[0]: sums, ids[1]: sums}


def test_a_bad_request_in_a_stream_is_answered_and_the_stream_goes_on(server: RunningServer) -> None:
    answers: queue.Queue[Any] = queue.Queue()  # (result, error) as tritonclient hands them to its callback
    with tritonclient.grpc.InferenceServerClient(server.grpc_address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for shape in ((1, 16), (1, 15), (1, 16)):
            tensors = []
            for name in ("INPUT0", "INPUT1"):
                tensor = tritonclient.grpc.InferInput(name, list(shape), "INT32")
                tensor.set_data_from_numpy(np.ones(shape, np.int32))
                tensors.append(tensor)
            client.async_stream_infer("simple", tensors)
        found = [answers.get(timeout=30) for _ in range(3)]
        client.stop_stream()
    errors = [error for _, error in found if error is not None]
    assert len(errors) == 1
    assert "INPUT0" in str(errors[0])
    assert "[1, 15]" in str(errors[0])


def test_the_asyncio_stream_answers_too(server: RunningServer) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:  # tritonclient's own form
        for value in (1, 2, 3):
            tensor = tritonclient.grpc.InferInput("INPUT", [1, 1], "INT32")
            tensor.set_data_from_numpy(np.full((1, 1), value, np.int32))
            yield {
                "model_name": "running_sum",
                "inputs": [tensor],
                "sequence_id": 77,
                "sequence_start": value == 1,
                "sequence_end": value == 3,
            }

    async def run() -> list[int]:
        found = []
        async with tritonclient.grpc.aio.InferenceServerClient(server.grpc_address) as client:
            async for result, error in client.stream_infer(requests()):
                assert error is None, error
                found.append(int(result.as_numpy("OUTPUT")[0, 0]))
        return found

    assert asyncio.run(run()) == [1, 3, 6]
