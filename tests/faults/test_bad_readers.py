"""Answers that JSON cannot carry, and clients that do not read theirs."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Serve
from tests.faults.raw_http import RawConnection, head, post
from tests.faults.waiting import wait_for_metric
from tests.running_server import RunningServer

_PATH = "/v2/models/identity_fp32/infer"


def _binary(array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", *, binary_answer: bool) -> bytes:
    document = {
        "inputs": [
            {
                "name": "INPUT0",
                "datatype": "FP32",
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
            }
        ],
        "parameters": {"binary_data_output": binary_answer},
    }
    text = json.dumps(document).encode()
    return post(_PATH, text + array.tobytes(), f"Inference-Header-Content-Length: {len(text)}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_json_cannot_carry_is_refused_with_the_cure(server: RunningServer, value: float) -> None:
    array = np.array([[1.0, value]], np.float32)
    with RawConnection(server.host_and_port) as connection:
        for _ in range(3):  # the first, the one that is noted, the one like it
            reply = connection.send(_binary(array, binary_answer=False)).read()
            assert reply.status == 500, reply
            assert "NaN or infinity, which JSON cannot carry; ask for it as binary_data" in reply.json()["error"]
        reply = connection.send(_binary(array, binary_answer=True)).read()
    assert reply.status == 200, reply
    assert reply.body.endswith(array.tobytes())


def test_a_client_that_reads_slowly_gets_every_answer_right(server: RunningServer) -> None:
    # Pipelined, large and small by turns: answers that wait must not see the requests that come after them.
    random = np.random.default_rng(7)
    arrays = [random.standard_normal((1, size), np.float32) for size in (200_000, 3, 60_000, 3000, 1, 150_000, 9000)]
    with RawConnection(server.host_and_port) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for array in arrays:
            connection.send(_binary(array, binary_answer=True))
        for array in arrays:
            reply = connection.read()
            assert reply.status == 200, reply
            assert reply.body.endswith(array.tobytes())


@pytest.mark.slow
def test_senders_and_readers_that_stall_are_cut_off(serve: Serve, repository: Path) -> None:
    strict = serve(repository, "--python-models", str(repository), "--read-timeout-s", "1")
    array = np.zeros((1, 4_000_000), np.float32)
    with RawConnection(strict.host_and_port) as reader, RawConnection(strict.host_and_port) as sender:
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        reader.send(_binary(array, binary_answer=True))
        sender.send(head("POST", _PATH, "Content-Length: 100"), b"{")
        reply = sender.read()
        assert reply.status == 408, reply
        assert sender.is_closed_by_server()
        # Not read until the server counts no connection but the one that asks.
        wait_for_metric(strict, "hekla_http_connections", 1, exactly=True)
        with pytest.raises(ConnectionError):
            reader.read()
