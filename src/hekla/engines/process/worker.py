"""The worker's end: loads one engine and runs it for the process that started this one.

    python -m hekla.engines.process.worker CONTROL CANCEL REQUESTS REPLIES PARENT    (file descriptors; a process id)

It ends when its parent closes the control socket, and with its parent. SIGINT and SIGTERM, which terminals and service
managers send to whole groups, are for the parent: it answers what it accepted first.
"""

import ctypes
import faulthandler
import os
import pickle
import signal
import socket
import struct
import sys
import threading
from importlib.metadata import EntryPoint

import orjson

from hekla.base.errors import UnavailableError
from hekla.engines.process.messages import Assignment, Message, error_message, receive, send, specs_to_json
from hekla.engines.process.shared import Reader, Writer
from hekla.protocols.engine import Cancellation, Engine, EngineLoader

_PR_SET_PDEATHSIG = 1
_RUN_NUMBER = struct.Struct("<Q")


def main(arguments: list[str]) -> None:
    """Serve one engine until the parent hangs up."""
    control_fd, cancel_fd, requests_fd, replies_fd, parent = map(int, arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with(parent)
    faulthandler.enable()  # a crash says where, on stderr
    for descriptor in (control_fd, cancel_fd, requests_fd, replies_fd):
        os.set_inheritable(descriptor, False)  # processes the engine starts get none of it
    with socket.socket(fileno=control_fd) as control:
        first = receive(control)
        if first is None:
            return
        assignment: Assignment = pickle.loads(first)  # from the process that started this one
        try:
            loader: EngineLoader = EntryPoint("", assignment.loader, "").load()
            engine = loader(assignment.source)
        except Exception as error:  # noqa: BLE001 - the process boundary: the parent raises it again
            send(control, error_message(error))
            return
        send(control, orjson.dumps({"inputs": specs_to_json(engine.inputs), "outputs": specs_to_json(engine.outputs)}))
        stops = _Stops(cancel_fd)
        try:
            _serve(control, engine, stops, Reader(requests_fd), Writer(replies_fd))
        finally:
            engine.close()


def _serve(control: socket.socket, engine: Engine, stops: "_Stops", requests: Reader, replies: Writer) -> None:
    while (body := receive(control)) is not None:
        message: Message = orjson.loads(body)
        cancellation = stops.begin(message["run"])
        try:
            answered = engine.run(requests.views(message["inputs"], message["size"]), message["outputs"], cancellation)
            answer = orjson.dumps({"tensors": replies.write(answered), "size": replies.size})
            del answered
        except Exception as error:  # noqa: BLE001 - the process boundary: the parent raises it again
            answer = error_message(error)
            if isinstance(error, UnavailableError):
                send(control, answer)
                return
        send(control, answer)


class _Stops:
    """Reads the numbers of runs to stop from a pipe, in a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._lock = descriptor, threading.Lock()
        self._asked = 0  # the last run that was asked to stop
        self._number, self._current = 0, Cancellation()
        threading.Thread(target=self._read, name="hekla-stops", daemon=True).start()

    def begin(self, number: int) -> Cancellation:
        """Return the switch of a run that begins, thrown already if the wish to stop it came first."""
        with self._lock:
            self._number, self._current = number, Cancellation()
            if self._asked == number:
                self._current.set()
            return self._current

    def _read(self) -> None:
        while len(packed := os.read(self._descriptor, _RUN_NUMBER.size)) == _RUN_NUMBER.size:
            with self._lock:
                self._asked = _RUN_NUMBER.unpack(packed)[0]
                current = self._current if self._asked == self._number else None
            if current is not None:
                current.set()
        os._exit(0)  # the parent is gone, and nothing may wait for a run that nobody wants


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was quicker
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
