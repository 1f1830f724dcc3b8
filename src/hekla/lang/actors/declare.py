"""`@actor`: a class whose fields are an actor's own memory and whose methods are the messages it takes."""

import inspect
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np

from hekla.base.errors import ConfigError, nearest_name
from hekla.lang import mailbox
from hekla.lang import types as t
from hekla.lang.actors.generated import (
    BOX,
    STATE,
    Generated,
    annotation_name,
    from_word,
    handler_tree,
    lent_name,
    to_word,
    written,
)  # fmt: skip
from hekla.lang.actors.messages import WORDS, MessageType, Senders
from hekla.lang.actors.running import Running, lent_array
from hekla.lang.actors.thread import ThreadCode
from hekla.lang.front.context import Context
from hekla.lang.front.definition import Definition
from hekla.lang.front.expressions import Expressions
from hekla.lang.front.specialise import Program
from hekla.lang.kernel import Kernel, Options
from hekla.lang.surface import TypeBuilder

MAX_MESSAGES = 1 << 20
RESERVED = ("options", "interpreted", "affinity", "priority", "mailbox")  # keywords of start
Placement = int | tuple[int, ...] | None


class Actor:
    """A class of actors. `start` makes one that runs.

    Fields of scalars, arrays and records are the actor's own; a value in the class body is where they begin.
    Fields of views are lent: of Atomics and Mutexes, or of arrays that nobody writes. Fields `Address[Other]` are
    actors to send to. Messages take scalars, and answer a scalar or nothing.
    """

    def __init__(self, declared: Any, capacity: int, affinity: Placement, priority: int) -> None:
        """Errors: ConfigError. Any: whatever the author decorates."""
        if not isinstance(declared, type):
            raise ConfigError(f"@actor goes on a class, got {declared!r}")
        if capacity not in range(1, MAX_MESSAGES + 1) or capacity & (capacity - 1):
            raise ConfigError(f"mailbox={capacity} is not a power of two up to {MAX_MESSAGES}", where=declared.__name__)
        self.name, self.capacity, self.affinity, self.priority = declared.__name__, capacity, affinity, priority
        self.__doc__ = inspect.getdoc(declared)
        self._annotations: Mapping[str, Any] = dict(declared.__annotations__)  # Any: types, or their text
        self._module = declared.__module__
        self._defaults = {n: vars(declared)[n] for n in self._annotations if n in vars(declared)}
        self._methods = [Definition(m) for m in vars(declared).values() if isinstance(m, FunctionType)]
        self._codes: dict[Options, ThreadCode] = {}
        self._lock = threading.Lock()
        if not self._methods:
            raise ConfigError("an actor needs a method, which is a message", where=self.name)
        for method in self._methods:
            if method.name.startswith("_") or hasattr(Running, method.name):
                cure = "fields get values in the class body" if method.name == "__init__" else "use another name"
                raise ConfigError(f"a message cannot be called {method.name!r}", where=self.name, cure=cure)

    def __repr__(self) -> str:
        return f"<actor {self.name}>"

    # --- what it is made of -----------------------------------------------------------------------------

    @cached_property
    def fields(self) -> dict[str, t.Type]:
        """The fields as declared. Errors: ConfigError for what an actor cannot hold."""
        found: dict[str, t.Type] = {}
        names = self._methods[0].function.__globals__  # read late, so that actors may name each other
        for name, kind in self._annotations.items():
            if name in RESERVED:
                raise ConfigError(
                    f"a field cannot be called {name!r}", where=self.name, cure="start() takes that itself"
                )
            kind = eval(kind, dict(names)) if isinstance(kind, str) else kind  # the author's own module
            if kind is bool:
                kind = t.bool_
            if not isinstance(kind, t.ScalarType | t.VecType | t.ArrayType | t.StructType | t.ViewType) or t.is_shared(
                kind
            ):
                cure = "use a scalar, Array, record, View or Address"
                raise ConfigError(f"field {name!r} is {kind!r}, which an actor cannot hold", where=self.name, cure=cure)
            if isinstance(kind, t.ViewType) and kind.mutable:
                cure = "lend a View of Atomics or Mutexes, or keep an Array of its own"
                raise ConfigError(f"field {name!r} is {kind}, which others may write", where=self.name, cure=cure)
            found[name] = kind
        return found

    @cached_property
    def lent(self) -> dict[str, t.ViewType]:
        """The fields that are lent when an actor starts."""
        return {n: k for n, k in self.fields.items() if isinstance(k, t.ViewType)}

    @cached_property
    def state_type(self) -> t.StructType:
        """The record of an actor's own fields."""
        own = tuple((n, k) for n, k in self.fields.items() if not isinstance(k, t.ViewType)) or (("%none", t.u8),)
        order = sorted(range(len(own)), key=lambda i: -t.line_align(own[i][1]))
        return t.StructType(self.name, own, tuple(order), self._module)

    @cached_property
    def messages(self) -> dict[str, MessageType]:
        """The messages by name. Errors: KernelError for parameters that are not scalars."""
        return {m.name: self._message(i, m) for i, m in enumerate(self._methods, 1)}

    def _message(self, number: int, method: Definition) -> MessageType:
        _, *params = method.signature.runtime
        expressions = Expressions(Context(method, {}, Program()))
        kinds = []
        for param in params:
            kind = expressions.annotation(param.annotation) if param.annotation is not None else None
            if not isinstance(kind, t.ScalarType):
                expressions.context.wrong(
                    f"a message carries scalars, got {param.arg}: {kind}", param, "say i64, say f32"
                )
            kinds.append(kind)
        returns = method.node.returns
        result = expressions.annotation(returns) if returns is not None else t.none
        if not isinstance(result, t.ScalarType | t.NoneType_):
            expressions.context.wrong(f"a message answers a scalar, not {result}", returns or method.node)
        answer = result if isinstance(result, t.ScalarType) else None
        return MessageType(number, method, tuple(p.arg for p in params), tuple(kinds), answer)

    @cached_property
    def mailbox_type(self) -> t.MailboxType:
        """The record of its mailbox."""
        fields = mailbox.mailbox_fields(self.capacity, self.word_count)
        return t.MailboxType(f"{self.name}'s mailbox", fields, tuple(range(len(fields))), owner=self)

    @property
    def word_count(self) -> int:
        """Words of its longest message."""
        return max(m.word_count for m in self.messages.values())

    @property
    def address_type(self) -> t.ViewType:
        """What `Address[...]` of it is."""
        return t.ViewType(self.mailbox_type, 1)

    @property
    def resource(self) -> str:
        """What it is called in the order of locks."""
        return f"actor {self.name}"

    @cached_property
    def senders(self) -> Senders:
        """What sends its messages."""
        return Senders(self.messages, self.address_type, self.word_count, self.resource)

    # --- its code ---------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Kernel]:
        """Return each method as a kernel of (state record, lent views, parameters)."""
        own = [n for n, k in self.fields.items() if not isinstance(k, t.ViewType)]
        names: dict[str, Any] = {annotation_name(STATE): t.ViewType(self.state_type, 1, True)}
        names |= {annotation_name(lent_name(n)): k for n, k in self.lent.items()}
        made = {}
        for name, message in self.messages.items():
            tree = handler_tree(message.method, own, list(self.lent))
            method = message.method
            made[name] = Kernel(
                Generated(method.function, holds=self.resource, tree=tree, path=method.file, names=names)
            )
        return made

    def _root(self, text: str, names: Mapping[str, Any]) -> Kernel:
        method = self._methods[0]
        known = {
            **WORDS, **vars(mailbox), annotation_name(BOX): self.address_type,
            annotation_name(STATE): t.ViewType(self.state_type, 1, True),
            **{annotation_name(_param(n)): k for n, k in self.lent.items()}, **names,
        }  # fmt: skip
        return Kernel(Generated(method.function, tree=written(text, method), path=method.file, names=known))

    def kernels(self) -> tuple[Kernel, Kernel]:
        """Return (a step: handle one message if there is one, the thread's loop)."""
        given = ", ".join([BOX, STATE, *map(_param, self.lent)])
        dispatch, names = [], {}
        for name, message in self.messages.items():
            names[f"on_{name}"] = self._handlers[name]
            values = [from_word(k, f"words[{i}]") for i, k in enumerate(message.kinds, message.first)]
            call = f"on_{name}({', '.join([STATE, *map(_param, self.lent), *values])})"
            if message.result is not None:
                call = f"reply(box, words[1], {to_word(message.result, call)})"
            dispatch += [f"    if words[0] == {message.number}:", f"        {call}"]
        handle = [f"def handle({given}, words):", *dispatch]
        names["handle"] = self._root("\n".join(handle), {**names, annotation_name("words"): t.ViewType(t.u64, 1)})
        words = f"    words = Array[u64, {self.word_count}](0)"
        step = [f"def step({given}) -> i32:", words, "    done = try_take(box, words.mut())", "    if done == TAKEN:",
                f"        handle({given}, words.view())", "    return done"]  # fmt: skip
        loop = [f"def run({given}):", words, "    while take(box, words.mut()) == TAKEN:",
                f"        handle({given}, words.view())"]  # fmt: skip
        names["run"] = self._root("\n".join(loop), names)
        both = [f"def main({given}):", f"    run({given})", "    ended(box)"]
        return self._root("\n".join(step), names), self._root("\n".join(both), names)

    @cached_property
    def _handlers(self) -> dict[str, Kernel]:
        return self.handlers()

    def code(self, options: Options) -> ThreadCode:
        """Return the code of its threads, compiled when first wanted. Errors: KernelError."""
        with self._lock:
            if options not in self._codes:
                step, main = self.kernels()
                self._codes[options] = ThreadCode(Kernel(step.definition, options), Kernel(main.definition, options))
            return self._codes[options]

    # --- starting ---------------------------------------------------------------------------------------

    def new_mailbox(self) -> "np.ndarray[Any, Any]":  # Any: a record
        """Return an empty mailbox for an actor that is not yet started, so that others can be given its address."""
        return aligned(self.mailbox_type.dtype)

    def start(
        self,
        *,
        options: Options | None = None,
        interpreted: bool = False,
        affinity: Placement = None,
        priority: int | None = None,
        mailbox: "np.ndarray[Any, Any] | None" = None,  # Any: a record
        **fields: Any,  # Any: numbers, arrays and actors, as the fields say
    ) -> Running:
        """Return a running actor; the fields are given by name where the class gives no value.

        mailbox: one of `new_mailbox`, whose address others were given before.
        affinity: the processors its thread may use. priority: its nice value, -20 (most urgent) to 19.
        interpreted: no thread; `step` handles a message by the definition of the language.
        Errors: KernelError; ConfigError for fields; ArgumentError for lent arrays; UnsupportedError where the system
            refuses the placement or has no threads of this kind.
        """
        unknown = [n for n in fields if n not in self.fields]
        if unknown:
            raise ConfigError(f"no field {unknown[0]!r}", where=self.name, cure=nearest_name(unknown[0], self.fields))
        given = {**self._defaults, **fields}
        missing = [n for n in self.fields if n not in given]
        if missing:
            raise ConfigError(
                f"the field {missing[0]!r} has no value", where=self.name, cure=f"start({missing[0]}=...)"
            )
        state = aligned(self.state_type.dtype)
        for name in self.fields:
            if name not in self.lent:
                state[name] = given[name]
        lent = [lent_array(f"{self.name}.start({n}=)", k, given[n]) for n, k in self.lent.items()]
        code = self.code(options or Options())
        box = (
            self.new_mailbox()
            if mailbox is None
            else lent_array(f"{self.name}.start(mailbox=)", self.address_type, mailbox)
        )
        running = Running(self.name, self.senders, code, [box, state, *lent])
        if not interpreted:
            running.launch(
                self.affinity if affinity is None else affinity, self.priority if priority is None else priority
            )
        return running


def aligned(dtype: "np.dtype[Any]") -> "np.ndarray[Any, Any]":  # Any: a record
    """Return one record of zeros that begins on a cache line."""
    memory = np.zeros(dtype.itemsize + t.LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % t.LINE_BYTES
    return memory[start : start + dtype.itemsize].view(dtype)


def _param(name: str) -> str:
    return f"lent_{name}"


def actor(
    declared: type | None = None, *, mailbox: int = 64, affinity: Placement = None, priority: int = 0
) -> Any:  # Any: an Actor, or what makes one; mypy must not read `Address[Counter]` inside a kernel
    """Make a class of actors of a class: fields are annotations, methods are messages.

    mailbox: how many messages may wait, a power of two; then `send` waits and `try_send` refuses.
    affinity, priority: see Actor.start. Errors: ConfigError.
    """
    make: Callable[[type], Actor] = lambda cls: Actor(cls, mailbox, affinity, priority)  # noqa: E731
    return make if declared is None else make(declared)


def _address(of: object) -> t.Type:
    if not isinstance(of, Actor):
        raise ConfigError(f"Address[...] takes an actor, got {of!r}", cure="decorate the class with @actor")
    return of.address_type


Address = TypeBuilder("Address", _address)
