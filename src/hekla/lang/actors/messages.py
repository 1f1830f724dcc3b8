"""The kernels that send an actor a message: one set for each method of its class."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hekla.lang import mailbox, surface
from hekla.lang import types as t
from hekla.lang.actors.generated import BOX, Generated, annotation_name, to_word, written
from hekla.lang.front.definition import Definition
from hekla.lang.kernel import Compiled, Kernel

WORDS = {
    "Array": surface.Array, "bitcast": surface.bitcast,
    **{name: kind for name, kind in t.SCALARS.items() if name != "bool"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MessageType:
    """A method as a message: its number, its parameters, and what it answers (None for nothing)."""

    number: int
    method: Definition
    names: tuple[str, ...]
    kinds: tuple[t.ScalarType, ...]
    result: t.ScalarType | None

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.name

    @property
    def word_count(self) -> int:
        """Words of a message: its number, the slot for the answer, its parameters."""
        return 1 + (self.result is not None) + len(self.kinds)

    @property
    def first(self) -> int:
        """The word of the first parameter."""
        return 1 + (self.result is not None)


class Sender:
    """What sends one message: `send` waits for room, `try_send` does not, `ask` waits for the answer's slot as well."""

    def __init__(self, message: MessageType, box: t.ViewType, words: int, resource: str) -> None:
        self.message, self._box, self._words, self._resource = message, box, words, resource
        self.send = self._kernel("send", "return put(box, words.view()) == 1", t.bool_, waits=True)
        self.try_send = self._kernel("try_send", "return try_put(box, words.view()) == 1", t.bool_)
        self.put = self._kernel("send", "return put(box, words.view())", t.i32, waits=True)
        self.try_put = self._kernel("try_send", "return try_put(box, words.view())", t.i32)
        self.ask = self._kernel("ask", "return put(box, words.view())", t.i32, waits=True, asks=True)

    def _kernel(self, verb: str, last: str, result: t.Type, *, waits: bool = False, asks: bool = False) -> Kernel:
        message = self.message
        lines = [f"    words = Array[u64, {self._words}](0)", f"    words[0] = u64({message.number})"]
        params = [f"p{i}" for i in range(len(message.kinds))]
        if message.result is not None:
            lines.append(f"    words[1] = u64({'slot' if asks else mailbox.NO_REPLY})")
        for place, (name, kind) in enumerate(zip(params, message.kinds, strict=True), message.first):
            lines.append(f"    words[{place}] = {to_word(kind, name)}")
        given = [BOX, *(["slot"] if asks else []), *params]
        text = "\n".join([f"def {message.name}({', '.join(given)}) -> RESULT:", *lines, f"    {last}"])
        tree = written(text, message.method, dict(zip(params, message.names, strict=True)))
        tree.name = f"{message.name}.{verb}"
        names: dict[str, Any] = {
            **WORDS, "put": mailbox.put, "try_put": mailbox.try_put, "RESULT": result,
            annotation_name(BOX): self._box, annotation_name("slot"): t.index,
            **{annotation_name(p): k for p, k in zip(params, message.kinds, strict=True)},
        }  # fmt: skip
        resource = self._resource if waits else ""
        method = message.method
        return Kernel(Generated(method.function, waits_for=resource, tree=tree, path=method.file, names=names))


class Senders:
    """What sends each message of one class of actors, and what else Python does with a mailbox."""

    def __init__(self, messages: Mapping[str, MessageType], box: t.ViewType, words: int, resource: str) -> None:
        self.of = {name: Sender(message, box, words, resource) for name, message in messages.items()}
        self._box = box

    @cached_property
    def close(self) -> Compiled:
        """mailbox.close for this mailbox."""
        return mailbox.close.compile(self._box)

    @cached_property
    def await_reply(self) -> Compiled:
        """mailbox.await_reply for this mailbox."""
        return mailbox.await_reply.compile(self._box, t.index)
