"""`@kernel`: a Python function that is compiled when it is first called, for each choice of types and constants."""

import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hekla.base.errors import ConfigError
from hekla.lang import types as t
from hekla.lang.arguments import convert_arguments
from hekla.lang.errors import ArgumentError, CheckError
from hekla.lang.frames import no_frames_of_ours
from hekla.lang.front.definition import Definition, mentions_parameters, parameters_in
from hekla.lang.interface import Interface
from hekla.lang.keys import source_key
from hekla.lang.llvm.built import Built
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.loaded import Loaded
from hekla.lang.lock_order import LockOrder, standard_order
from hekla.lang.texts import Texts

if TYPE_CHECKING:  # what a process that compiles nothing never loads
    from hekla.lang.front.specialise import Program
    from hekla.lang.hir import Instance
    from hekla.lang.ir.core import Function, Module
    from hekla.lang.llvm.codegen import Flags
    from hekla.lang.llvm.pool import ThreadPool
    from hekla.lang.llvm.target import Target
    from hekla.lang.llvm.text import Text

__all__ = ["Compiled", "Kernel", "Options", "kernel"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a kernel is compiled and run. `cache`, `pool` and `order` None are the process's standard ones."""

    optimise: bool = True
    checked: bool = False
    target: "Target | None" = None
    cache: CodeCache | None = None
    pool: "ThreadPool | None" = None
    order: LockOrder | None = None

    @property
    def key(self) -> str:
        """A text that differs where the code may differ."""
        return f"{self.optimise} {self.checked} {self.target.key if self.target is not None else 'this processor'}"


class Compiled:
    """One kernel for one choice of types and constants; call it with arrays and numbers."""

    def __init__(
        self,
        definition: Definition,
        kinds: tuple[t.Type, ...],
        named: Mapping[str, Any],
        options: Options,
        *,
        only_kept: bool = False,
    ) -> None:
        """Look for the code in the cache, and run the front end where it is not there. Errors: KernelError.

        only_kept: leave the front end for later; see `is_kept`.
        """
        self._definition, self._kinds, self._named = definition, kinds, named
        self.options = options
        self._cache = options.cache or CodeCache.standard()
        texts = Texts(self._cache, definition)
        self._key = source_key(definition, kinds, named, options.key, texts)
        self._kept = Built.kept(self._cache, self._key) if self._key is not None else None
        if self._kept is not None:
            texts.keep()
            self._order.add(self._kept.interface.edges)
        elif not only_kept:
            _ = self._lowered

    @property
    def is_kept(self) -> bool:
        """True where the code came from the cache."""
        return self._kept is not None

    @property
    def _order(self) -> LockOrder:
        return self.options.order or standard_order()

    @cached_property
    def _lowered(self) -> "tuple[Module, Function]":
        from hekla.lang import compiler
        from hekla.lang.ir.checks import add_checks
        from hekla.lang.ir.verify import verify_module

        module, function = compiler.lower(self._definition, self._kinds, self._named)
        self._order.add(module.edges)
        if self.options.checked:
            add_checks(module)
            verify_module(module)
        return module, function

    @property
    def module(self) -> "Module":
        """The IR of the kernel and all it calls."""
        return self._lowered[0]

    @property
    def function(self) -> "Function":
        """The IR of the kernel itself."""
        return self._lowered[1]

    @cached_property
    def target(self) -> "Target":
        """What the code is made for."""
        from hekla.lang.llvm.target import host_target

        return self.options.target or host_target()

    @cached_property
    def flags(self) -> "Flags":
        """How LLVM is asked to make the code."""
        from hekla.lang.compiler import uses_vectors
        from hekla.lang.llvm.codegen import Flags

        vectorise = not uses_vectors(self.module) or bool(self.demands)
        return Flags(self.options.optimise, self.options.checked, vectorise)

    @property
    def demands(self) -> "list[Function]":
        """The kernels of this program that are under @vectorize."""
        from hekla.lang.compiler import demands_of

        return demands_of(self.module)

    @cached_property
    def text(self) -> "Text":
        """The LLVM text, entry included."""
        from hekla.lang.compiler import entry_text

        return entry_text(self.module, self.function, self.target)

    @cached_property
    @no_frames_of_ours
    def code(self) -> tuple[Built, bool]:
        """(the code with what one must know to call it, whether it came from the cache)."""
        if self._kept is not None:
            return self._kept, True
        from hekla.lang.compiler import build

        built, found = build(self.module, self.function, self.text, self.flags, self._cache)
        if self._key is not None:
            built.keep(self._cache, self._key)
        return built, found

    @property
    def interface(self) -> Interface:
        """The parameters and the result."""
        return self.code[0].interface

    @cached_property
    def _loaded(self) -> Loaded:
        """The code in memory: the callables made from it reach this object, and so keep it.

        Errors: UnsupportedError for code that this machine cannot run, before it meets an illegal instruction.
        """
        if self.options.target is not None:
            self.options.target.require_runnable(f"{self._definition.name}()")
        return Loaded(self.code[0].image, self.interface, self._raise_fault, self._pool())

    def _pool(self) -> "ThreadPool | None":
        if not self.interface.parallel:
            return None
        from hekla.lang.llvm.pool import standard_pool

        return self.options.pool or standard_pool()

    @cached_property
    @no_frames_of_ours
    def entry(self) -> Callable[..., Any]:  # Any: the kernel's arguments and result
        """The built-in function that runs the kernel: the fastest way to call it."""
        loaded = self._loaded
        exact = loaded.bind(self.interface.name, self._unexpected)

        @no_frames_of_ours
        def slow(*given: Any, **named: Any) -> Any:
            if named:
                self._refuse_named(named)
            return exact(*convert_arguments(self.interface, given))

        return loaded.bind(self.interface.name, slow)

    @no_frames_of_ours
    def __call__(self, *given: Any) -> Any:
        return self.entry(*given)

    @no_frames_of_ours
    def interpret(self, *given: Any) -> Any:  # Any: the kernel's arguments and result
        """Run the kernel by its definition, in NumPy: slow, and every access is checked."""
        from hekla.lang.compiler import interface_of
        from hekla.lang.interpreter.run import interpret

        return interpret(self.module, self.function, convert_arguments(interface_of(self.function), given))

    def _unexpected(self, *given: Any) -> Any:
        raise AssertionError(f"{self.interface.name}: the entry refused converted arguments {given!r}")

    def _refuse_named(self, named: Mapping[str, Any]) -> None:  # Any: whatever the caller passed
        from hekla.lang.compiler import elaborate

        elaborate(self._definition, self._kinds, named)  # says what there is, and what was meant
        raise ArgumentError(f"takes no {next(iter(named))}=", where=f"{self.interface.name}()")

    @no_frames_of_ours
    def _raise_fault(self, number: int) -> None:
        message, span = self.interface.sites[number - 1]
        raise CheckError(message, span)


class Kernel(functools.partial[Any]):  # Any: the kernel's result
    """A function of the language. Call it like a function; `compile` makes the code beforehand.

    Compile-time parameters (after the bare `*`) are given by keyword and cost a compilation for each new value.
    It is a `partial` without arguments for the speed of its call, which runs no Python: of `_first_call`, and once
    there is nothing left to choose, of the machine code itself.
    """

    def __new__(cls, definition: Definition, options: Options | None = None) -> "Kernel":
        """Make it callable; `__init__` says what a call does."""
        return super().__new__(cls, _not_yet)

    def __init__(self, definition: Definition, options: Options | None = None) -> None:
        self.definition = definition
        self.options = options or Options()
        self._compiled: dict[tuple[Any, ...], Compiled] = {}
        self._entries: dict[tuple[Any, ...], Callable[..., Any]] = {}  # by the kinds of arguments, of generic kernels
        self._lock = threading.Lock()  # two threads that call first compile once
        self.__name__ = self.__qualname__ = definition.name
        self.__doc__ = inspect.getdoc(definition.function)
        self.__module__ = definition.function.__module__
        self._call_with(self._first_call)

    @no_frames_of_ours
    def make_ready(self) -> None:
        """Compile a kernel that has no parameters of types or constants, or load it, so that no call waits for it."""
        self._call_with(self.compile().entry)

    @no_frames_of_ours
    def find_kept(self, *kinds: t.Type, **named: Any) -> bool:  # Any: compile-time values
        """Find the kernel's code for these types and constants in the cache; False where a call must make it.

        That takes a millisecond or two, making it hundreds: for what should be at hand but must not wait. The first
        call maps the code that was found.
        """
        key = _key_of(kinds, named)
        with self._lock:
            compiled = self._compiled.get(key)
            if compiled is None:
                compiled = Compiled(self.definition, kinds, named, self.options, only_kept=True)
                if not compiled.is_kept:
                    return False
                self._compiled[key] = compiled
        return True

    def _call_with(self, function: Callable[..., Any]) -> None:  # Any: the kernel's arguments and result
        self.__setstate__((function, (), {}, self.__dict__))  # type: ignore[attr-defined]  # partial has it, typeshed not

    def __repr__(self) -> str:
        return f"<kernel {self.__name__}>"

    def with_options(self, **changes: Any) -> "Kernel":  # Any: the fields of Options
        """Return the same kernel compiled another way."""
        return Kernel(self.definition, replace(self.options, **changes))

    @no_frames_of_ours
    def compile(self, *kinds: t.Type, **named: Any) -> Compiled:  # Any: compile-time values
        """Return the kernel for these types of the run-time parameters and these constants.

        Types may be left out where the signature states them. Errors: KernelError, pointing at the source.
        """
        key = _key_of(kinds, named)
        with self._lock:
            return self._compile(key, kinds, named)

    def _compile(self, key: tuple[Any, ...], kinds: tuple[t.Type, ...], named: dict[str, Any]) -> Compiled:
        if key not in self._compiled:
            self._compiled[key] = Compiled(self.definition, kinds, named, self.options)
        return self._compiled[key]

    @no_frames_of_ours
    def lower(self, *kinds: t.Type, **named: Any) -> "tuple[Module, Function]":  # Any: compile-time values
        """Return the verified IR of the kernel and all it calls, and its own function."""
        from hekla.lang import compiler

        return compiler.lower(self.definition, kinds, named)

    @no_frames_of_ours
    def elaborate(self, *kinds: t.Type, **named: Any) -> "tuple[Program, Instance]":  # Any: compile-time values
        """Return the checked typed tree of the kernel and all it calls, and its own part."""
        from hekla.lang import compiler

        return compiler.elaborate(self.definition, kinds, named)

    @no_frames_of_ours
    def compiled_for(self, given: Sequence[Any], named: Mapping[str, Any]) -> Compiled:  # Any: see _first_call
        """Return the kernel for the types these arguments have. Errors: KernelError, ArgumentError."""
        names = self.definition.parameter_names
        patterns = self._patterns(named)
        if not any(mentions_parameters(p) for p in patterns):
            return self.compile(**named)
        if len(given) != len(patterns):
            where = f"{self.__name__}()"
            raise ArgumentError(f"takes {len(patterns)} arguments ({', '.join(names)}), got {len(given)}", where=where)
        kinds = [argument_type(f"{self.__name__}({n})", p, a) for n, p, a in zip(names, patterns, given, strict=True)]
        return self.compile(*kinds, **named)

    def _patterns(self, named: Mapping[str, Any]) -> list[t.Type]:  # Any: see _first_call
        """Return the types of the run-time parameters, TypeParams among them where nothing decides them yet."""
        stated = self.definition.stated_types
        if stated is not None and not any(n in named for kind in stated for n in parameters_in(kind)):
            return stated
        from hekla.lang import compiler

        return compiler.parameter_types(self.definition, named)

    @no_frames_of_ours
    def _first_call(self, *given: Any, **named: Any) -> Any:  # Any: the kernel's arguments and result
        key = (*map(_dispatch_key, given), *((n, getattr(v, "definition", v)) for n, v in named.items()))
        entry = self._entries.get(key)
        if entry is None:
            compiled = self.compiled_for(given, named)
            entry = self._entries[key] = compiled.entry
            if (
                not named
                and not self.definition.function.__code__.co_kwonlyargcount
                and compiled is self._compiled.get(((), ()))
            ):
                self._call_with(entry)
        return entry(*given)


def _not_yet(*_: Any, **__: Any) -> Any:  # Any: a kernel's arguments and result
    raise AssertionError("a kernel was called before it was made")


def _key_of(kinds: tuple[t.Type, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:  # Any: compile-time values
    return (kinds, tuple(sorted((n, getattr(v, "definition", v)) for n, v in named.items())))


def _dispatch_key(argument: Any) -> Any:  # Any: see Kernel._first_call
    """Return what of an argument may decide the types: an array's elements and rank, a number's class."""
    return (argument.dtype, argument.ndim) if isinstance(argument, np.ndarray) else type(argument)


def argument_type(where: str, pattern: t.Type, given: Any) -> t.Type:  # Any: whatever the caller passed
    """Return the type an argument has, for a parameter whose type is not fixed."""
    if isinstance(pattern, t.ViewType) and mentions_parameters(pattern):
        array = given if isinstance(given, np.ndarray) else np.asarray(memoryview(given))
        found = next((s for s in t.SCALARS.values() if s.dtype == array.dtype and s is not t.index), None)
        if found is None:
            raise ArgumentError(f"no type of the language has the elements of {array.dtype}", where=where)
        return t.ViewType(found, array.ndim, pattern.mutable, pattern.strided)
    if isinstance(pattern, t.TypeParam):
        if isinstance(given, np.generic):
            return next(s for s in t.SCALARS.values() if s.dtype == given.dtype)
        return {bool: t.bool_, int: t.i64, float: t.f64}.get(type(given), pattern)
    return pattern


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...
@overload
def kernel(*, inline: bool = ...) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(function: Any = None, *, inline: bool = False) -> Any:  # Any: used with and without arguments
    """Make a kernel of a function. Its body is compiled, never run by Python.

    inline: copy the body into every kernel that calls it.
    """
    if function is None:
        return lambda f: kernel_of(f, inline=inline)
    return kernel_of(function, inline=inline)


def kernel_of(function: Callable[..., Any], *, inline: bool) -> Kernel:
    """Return the kernel of a plain function. Errors: ConfigError for anything else."""
    if not isinstance(function, FunctionType):
        raise ConfigError(f"@kernel goes on a function, got {function!r}", cure="write it right above def")
    return Kernel(Definition(function, inline))
