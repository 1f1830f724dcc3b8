"""A running actor, as Python holds it."""

import atexit
import ctypes
import os
import queue
import threading
from types import TracebackType
from typing import Any, Literal

import numpy as np

from hekla.base.errors import UnsupportedError
from hekla.lang import mailbox
from hekla.lang import types as t
from hekla.lang.actors.messages import Sender, Senders
from hekla.lang.actors.thread import Thread, ThreadCode
from hekla.lang.arguments import as_array
from hekla.lang.errors import ActorStoppedError, ArgumentError

Array = np.ndarray[Any, Any]  # Any: records and words of many kinds


class Running:
    """An actor. `counter.add.send(3)` sends a message; leaving a `with` block stops it and waits for its end.

    It lives until `stop` and `join`, whoever still holds it; what Python leaves running is stopped when Python ends.
    After a fork the child has no actors.
    """

    def __init__(self, name: str, senders: Senders, code: ThreadCode, memory: list[Array]) -> None:
        self.name, self.senders, self._code, self._memory = name, senders, code, memory
        self.slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(mailbox.REPLIES):
            self.slots.put(slot)
        self._messages = {n: Message(self, s) for n, s in senders.of.items()}
        self._thread: Thread | None = None
        self._record: Array = np.zeros(mailbox.REPLIES, np.uint64)
        self._lock = threading.Lock()
        self._is_joined = False

    def __repr__(self) -> str:
        return f"<running {self.name}>"

    def __getattr__(self, name: str) -> "Message":
        messages = self.__dict__.get("_messages", {})
        if name not in messages:
            raise AttributeError(
                f"{self.__dict__.get('name')} takes no message {name!r}; it takes {', '.join(messages)}"
            )
        found: Message = messages[name]
        return found

    @property
    def address(self) -> Array:
        """Its mailbox: what kernels and other actors take as `Address`. It must outlive their use of it."""
        return self._memory[0]

    @property
    def waiting(self) -> int:
        """How many messages wait to be handled, as of now."""
        box = self.address[0]
        return int(box["tail"]["value"]) % mailbox.CLOSED_BIT - int(box["head"]["value"])

    # --- its life ---------------------------------------------------------------------------------------

    def launch(self, affinity: int | tuple[int, ...] | None, priority: int) -> None:
        """Give it a thread. Errors: UnsupportedError where the system refuses."""
        self._record = self._code.record(self._memory)
        processors = (affinity,) if isinstance(affinity, int) else affinity or ()
        self._thread = Thread(self._code.address, self._record.ctypes.data, processors)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))  # the thread runs in this memory until it is joined
        atexit.register(self._leave)
        number = mailbox.await_set(self._record[:1].view(np.uint32)[:1].view(t.atomic_type(t.u32, dense=True).dtype))
        if priority:
            try:
                os.setpriority(os.PRIO_PROCESS, number, priority)
            except (PermissionError, OSError) as error:
                self.stop()
                self.join()
                cure = "0 to 19 need no privilege"
                raise UnsupportedError(
                    f"priority={priority} is refused: {error}", where=self.name, cure=cure
                ) from error

    @property
    def has_thread(self) -> bool:
        """False for an interpreted actor."""
        return self._thread is not None

    def step(self) -> bool:
        """Handle one message by the definition of the language; False where there is none. For `interpreted` actors."""
        if self._thread is not None:
            raise UnsupportedError("a thread handles its messages", where=self.name, cure="start(interpreted=True)")
        return bool(self._code.step.interpret(*self._memory) == mailbox.TAKEN)

    def stop(self) -> None:
        """Take no more messages. Does not wait; what was sent is still handled."""
        self.senders.close(self.address)

    def join(self) -> None:
        """Wait until it has handled everything and its thread ended. Errors: CheckError, the fault it ended with."""
        if self._thread is None:
            return
        with self._lock:
            if not self._is_joined:
                self._thread.join()
                self._is_joined = True
                atexit.unregister(self._leave)
                ctypes.pythonapi.Py_DecRef(ctypes.py_object(self))
        if self._record[1]:
            raise self._code.fault(int(self._record[1]))

    @property
    def state(self) -> Array:
        """Its own fields, one record; once it has ended, or while it is interpreted."""
        if self._thread is not None and not self._is_joined:
            raise UnsupportedError("its fields are its own while it runs", where=self.name, cure="stop() and join() it")
        found: Array = self._memory[1][0]
        return found

    def stopped_error(self) -> Exception:
        """Return why it takes no messages: it was stopped, or a fault ended it."""
        if self._record[1]:
            return self._code.fault(int(self._record[1]))
        return ActorStoppedError("it was stopped, and takes no messages", where=self.name)

    def _leave(self) -> None:
        self.stop()
        if self._thread is not None and not self._is_joined:
            self._thread.join()

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.stop()
        self.join()
        return False


class Message:
    """A message of one running actor."""

    __slots__ = ("_ask", "_put", "_to", "_try_put", "_type")

    def __init__(self, to: Running, sender: Sender) -> None:
        self._to, self._type = to, sender.message
        self._put, self._try_put, self._ask = sender.put, sender.try_put, sender.ask

    def send(self, *given: Any) -> None:  # Any: the method's parameters
        """Send it, and wait while the mailbox is full.

        Errors: ArgumentError; ActorStoppedError; CheckError where a fault ended the actor.
        """
        self._check(given)
        if not self._to.has_thread:
            if not self.try_send(*given):
                raise UnsupportedError("it is full, and nobody else empties it", where=self._to.name, cure="step() it")
            return
        if self._put(self._to.address, *given) == mailbox.CLOSED:
            raise self._to.stopped_error()

    def try_send(self, *given: Any) -> bool:  # Any: see send
        """Send it if there is room; False where the mailbox is full. Errors: as `send`."""
        self._check(given)
        done = self._try_put(self._to.address, *given)
        if done == mailbox.CLOSED:
            raise self._to.stopped_error()
        return bool(done == mailbox.TAKEN)

    def _check(self, given: tuple[Any, ...]) -> None:  # Any: see send
        names = self._type.names
        if len(given) != len(names):
            where = f"{self._to.name}.{self._type.name}"
            raise ArgumentError(f"takes {len(names)} values ({', '.join(names)}), got {len(given)}", where=where)

    def ask(self, *given: Any) -> Any:  # Any: a Python number
        """Send it and wait for the answer. Errors: as `send`, and ArgumentError for a method that answers nothing."""
        if self._type.result is None:
            raise ArgumentError("answers nothing", where=f"{self._to.name}.{self._type.name}", cure="send it")
        self._check(given)
        if not self._to.has_thread:
            raise UnsupportedError(
                "nobody would answer", where=self._to.name, cure="send it, step(), and look at state"
            )
        slot = self._to.slots.get()
        box = self._to.address
        try:
            box["replies"]["state"]["value"][0, slot] = mailbox.ASKED
            if self._ask(box, slot, *given) == mailbox.CLOSED:
                box["replies"]["state"]["value"][0, slot] = 0
                raise self._to.stopped_error()
            if self._to.senders.await_reply(box, slot) != mailbox.ANSWERED:
                raise self._to.stopped_error()
            return unpacked(self._type.result, int(box["replies"]["word"]["value"][0, slot]))
        finally:
            self._to.slots.put(slot)


def unpacked(kind: t.ScalarType, word: int) -> int | float | bool:
    """Return the number of a type that a word of 64 bits holds."""
    raw = np.array([word], np.uint64).view(np.uint8)[: kind.size_bytes].view(kind.dtype)
    return float(raw[0]) if kind.kind == "float" else bool(raw[0]) if kind.kind == "bool" else int(raw[0])


def lent_array(where: str, kind: t.ViewType, given: Any) -> Array:  # Any: an array or a running actor
    """Return what is lent to an actor: shared elements, or memory that nobody writes.

    Errors: ArgumentError, DtypeError, ShapeError naming the field.
    """
    array = as_array(where, kind, given.address if isinstance(given, Running) else given)
    if not t.is_shared(kind.element) and array.flags.writeable:
        cure = "lend a copy: x = x.copy(); x.flags.writeable = False"
        raise ArgumentError("may be written while the actor reads it", where=where, cure=cure)
    return array
