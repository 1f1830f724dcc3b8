"""Read a picture with Triton's client, over HTTP and over gRPC: `python examples/triton_ocr.py [HTTP [GRPC]]`."""

import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http

HTTP = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8000"
GRPC = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8001"
PICTURE = Path(__file__).with_name("receipt.png").read_bytes()

for module, address in ((tritonclient.http, HTTP), (tritonclient.grpc, GRPC)):
    with module.InferenceServerClient(address) as client:
        image = module.InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(np.array([PICTURE], np.object_))
        answer = client.infer("ocr", [image])
        lines = [line.decode() for line in answer.as_numpy("text")]
    print(module.__name__, len(lines), lines[:2])
