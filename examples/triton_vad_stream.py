"""Send speech window by window over one gRPC stream; the server keeps the model's state between the windows.

python examples/triton_vad_stream.py [ADDRESS]
"""

import queue
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8001"
WINDOW = 512  # samples: 32 ms at 16 kHz

with wave.open(str(Path(__file__).with_name("speech.wav"))) as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, 1, WINDOW)

answers: queue.Queue[tuple[Any, Any]] = queue.Queue()  # Any: the client's own result and error, untyped
speech = []
with tritonclient.grpc.InferenceServerClient(ADDRESS) as client:
    client.start_stream(lambda result, error: answers.put((result, error)))
    for at, window in enumerate(windows):
        audio = tritonclient.grpc.InferInput("audio", [1, WINDOW], "FP32")
        audio.set_data_from_numpy(window)
        client.async_stream_infer(
            "vad", [audio], sequence_id=1, sequence_start=at == 0, sequence_end=at == len(windows) - 1
        )
        # As in a live stream the next window waits for this answer: a server refuses what it could not answer in time.
        result, error = answers.get(timeout=30)
        if error is not None:
            raise error
        speech.append(result.as_numpy("speech")[0, 0] > 0.5)

begins = [at for at in range(1, len(speech)) if speech[at] and not speech[at - 1]]
print(f"{len(speech)} windows, {sum(speech)} with speech, which begins at", end=" ")
print(", ".join(f"{at * WINDOW / 16000:.2f} s" for at in begins))
