"""Pictures that claim to be larger than any memory, and files that are no picture."""

import json
import struct
import zlib

import numpy as np
import pytest
from tests.faults import grpc_requests
from tests.running_server import Reply, RunningServer


def _png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG of 8-bit grey that claims this size, whatever its pixels are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(pixels)),
            chunk(b"IEND", b""),
        ]
    )


def _infer(server: RunningServer, picture: bytes) -> Reply:
    raw = struct.pack("<I", len(picture)) + picture
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return server.request("POST", "/v2/models/pictures/infer", head + raw, headers)


def test_a_good_picture_is_decoded(server: RunningServer) -> None:
    rows = b"".join(b"\0" + bytes([10 * y, 200]) for y in range(3))  # filter byte, then two grey pixels
    reply = _infer(server, _png(2, 3, rows))
    assert reply.status == 200, reply
    output = reply.json()["outputs"][0]
    assert output["shape"] == [3, 2, 3]
    assert np.reshape(output["data"], (3, 2, 3))[:, :, 0].tolist() == [[0, 200], [10, 200], [20, 200]]


@pytest.mark.parametrize(
    ("width", "height"), [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (20_000, 20_000)]
)
def test_a_picture_that_claims_too_many_pixels_is_refused_undecoded(
    server: RunningServer, width: int, height: int
) -> None:
    bomb = _png(width, height, b"\0")
    assert len(bomb) < 100
    reply = _infer(server, bomb)
    assert reply.status in (400, 413), reply
    assert "image" in reply.error
    raw = struct.pack("<I", len(bomb)) + bomb
    rpc = grpc_requests.infer(server, grpc_requests.infer_message("pictures", [("image", "BYTES", [1], raw)]))
    assert grpc_requests.code_of(rpc) in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    "picture",
    [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a" + bytes(20), _png(2, 2, b"\0")],
    ids=["empty", "text", "png head", "jpeg head", "gif", "cut png"],
)
def test_what_is_no_whole_picture_is_refused(server: RunningServer, picture: bytes) -> None:
    reply = _infer(server, picture)
    assert reply.status == 400, reply
    assert "image" in reply.error
