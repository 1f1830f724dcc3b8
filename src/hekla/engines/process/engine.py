"""The server's end of an engine in a worker process."""

import contextlib
import os
import pickle
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence

import orjson

from hekla.base.errors import CancelledError, UnavailableError
from hekla.engines.process.child import Child
from hekla.engines.process.messages import Assignment, Message, parsed, receive, send, specs_from_json
from hekla.engines.process.shared import Reader, Writer, shared_file
from hekla.engines.process.wake import Wake
from hekla.protocols.engine import Cancellation
from hekla.protocols.tensor import Tensors, TensorSpec

_RUN_NUMBER = struct.Struct("<Q")


class ProcessEngine:
    """An `Engine` whose inner engine runs in another process.

    A worker that dies, in a run or between runs, makes the engine dead: UnavailableError, at once. So does a run that
    goes on for `grace_s` after it was asked to stop: its worker is killed, that run raises CancelledError, later ones
    UnavailableError.
    """

    def __init__(self, assignment: Assignment, grace_s: float) -> None:
        self._model, self._grace_s = assignment.source.model, grace_s
        self._lock = threading.Lock()  # held by a run, and by `close` while it frees
        self._is_closed = self._is_freed = False
        self._number = 0
        self._wake = Wake()
        self._control, control = socket.socketpair()
        cancel, self._cancel = os.pipe()
        self._requests_file, self._replies_file = shared_file("hekla-requests"), shared_file("hekla-replies")
        self._requests, self._replies = Writer(self._requests_file), Reader(self._replies_file)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        descriptors = (control.fileno(), cancel, self._requests_file, self._replies_file)
        threads = str(assignment.source.threads)
        try:
            self._child = Child(
                # -P: a module in the working folder cannot stand in for an installed one.
                ["-P", "-m", "hekla.engines.process.worker", *map(str, descriptors), str(os.getpid())],
                descriptors,
                {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
                self._wake.ring,
            )
        except OSError as error:
            self._free()
            raise UnavailableError(f"no worker process could be started: {error}", where=self._model) from None
        finally:
            control.close()
            os.close(cancel)
        try:
            loaded = self._ask(pickle.dumps(assignment), None)
        except BaseException:
            self.close()
            raise
        self._inputs, self._outputs = specs_from_json(loaded["inputs"]), specs_from_json(loaded["outputs"])

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def may_block(self) -> bool:
        return True

    @property
    def worker_pid(self) -> int:
        """The worker's process id."""
        return self._child.pid

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        with self._lock:
            if self._is_closed:
                raise UnavailableError(f"the engine of {self._model!r} is closed")
            if self._child.has_exited:
                raise self._dead()
            if cancellation is not None:
                if cancellation.is_set:
                    raise CancelledError("the run was stopped before it began")
                cancellation.on_set(self._wake.ring)
            self._number += 1
            table = self._requests.write(inputs)
            body = {"run": self._number, "inputs": table, "size": self._requests.size, "outputs": list(outputs)}
            answer = self._ask(orjson.dumps(body), cancellation)
            return self._replies.copies(answer["tensors"], answer["size"])

    def close(self) -> None:
        """End the worker: by itself within `grace_s`, or killed. Then reap it and free the shared memory."""
        self._is_closed = True
        if not self._child.has_exited:
            with contextlib.suppress(OSError):  # a worker that has just died
                self._control.shutdown(socket.SHUT_WR)  # an idle worker reads the end, closes its engine and exits
            if not self._child.wait(self._grace_s):
                self._child.kill()
        with self._lock:
            self._free()

    def _ask(self, body: bytes, cancellation: Cancellation | None) -> Message:
        """Send a message and return the answer. Errors: the error in the answer; UnavailableError, CancelledError."""
        try:
            send(self._control, body)
        except OSError:
            raise self._ended() from None
        self._wait_for_answer(cancellation)
        answer = receive(self._control)
        if answer is None:
            raise self._ended()
        return parsed(answer)

    def _wait_for_answer(self, cancellation: Cancellation | None) -> None:
        """Return when the control socket has something to read: an answer, or the worker's end."""
        kill_at_s: float | None = None
        while True:
            left_ms = None if kill_at_s is None else max(0.0, kill_at_s - time.monotonic()) * 1000
            ready = {descriptor for descriptor, _ in self._poll.poll(left_ms)}
            if self._control.fileno() in ready:
                return
            if self._wake.fileno() in ready:
                self._wake.quiet()
                if self._child.has_exited:
                    if any(descriptor == self._control.fileno() for descriptor, _ in self._poll.poll(0)):
                        return
                    raise self._dead()  # a process the worker left behind holds the socket open
                if kill_at_s is None and cancellation is not None and cancellation.is_set:
                    kill_at_s = time.monotonic() + self._grace_s
                    with contextlib.suppress(OSError):  # a worker that has just died
                        os.write(self._cancel, _RUN_NUMBER.pack(self._number))
            elif kill_at_s is not None and time.monotonic() >= kill_at_s:
                self._child.kill()
                raise CancelledError(f"a run of {self._model!r} did not stop when asked; its worker was killed")

    def _ended(self) -> UnavailableError:
        """Reap a worker whose end of the socket is closed: it is ending, or beyond help."""
        if not self._child.wait(self._grace_s):
            self._child.kill()
        return self._dead()

    def _dead(self) -> UnavailableError:
        return UnavailableError(
            f"its worker process {self._child.how_it_ended()}", where=self._model, cure="load the model again"
        )

    def _free(self) -> None:
        if self._is_freed:
            return
        self._is_freed = True
        self._control.close()
        self._wake.close()
        self._requests.close()
        self._replies.close()
        for descriptor in (self._cancel, self._requests_file, self._replies_file):
            os.close(descriptor)
