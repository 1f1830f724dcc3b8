"""`@kernel`: a Python function that is compiled when it is first called, for each choice of types and constants."""

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import FunctionType
from typing import Any, overload

import numpy as np

from hekla.lang import types as t
from hekla.lang.arguments import convert_arguments
from hekla.lang.errors import ArgumentError, CheckError, KernelTypeError
from hekla.lang.front.definition import Definition, mentions_parameters
from hekla.lang.front.known import Known
from hekla.lang.front.specialise import Match, Program, substitute
from hekla.lang.hir import Instance
from hekla.lang.interpreter.run import interpret
from hekla.lang.ir.checks import add_checks
from hekla.lang.ir.core import Function, Module
from hekla.lang.ir.verify import verify_module
from hekla.lang.llvm.accept import check_loops, check_targets
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.codegen import Flags, object_code
from hekla.lang.llvm.entry import EntryText, can_be_called
from hekla.lang.llvm.loaded import Loaded
from hekla.lang.llvm.pool import ThreadPool, standard_pool
from hekla.lang.llvm.target import Target, host_target
from hekla.lang.llvm.text import Text, emit_module
from hekla.lang.lock_order import LockOrder, standard_order
from hekla.lang.lower import lower_program

__all__ = ["Compiled", "Kernel", "Options", "kernel"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a kernel is compiled and run. `cache`, `pool` and `order` None are the process's standard ones."""

    optimise: bool = True
    checked: bool = False
    target: Target | None = None
    cache: CodeCache | None = None
    pool: ThreadPool | None = None
    order: LockOrder | None = None


class Compiled:
    """One kernel for one choice of types and constants; call it with arrays and numbers."""

    def __init__(self, module: Module, function: Function, options: Options) -> None:
        self.module, self.function, self.options = module, function, options
        self.target = options.target or host_target()

    @cached_property
    def flags(self) -> Flags:
        """How LLVM is asked to make the code."""
        return Flags(self.options.optimise, self.options.checked, vectorise=self._vectorises)

    @property
    def _vectorises(self) -> bool:
        return not uses_vectors(self.module) or bool(self.demands)

    @property
    def demands(self) -> list[Function]:
        """The kernels of this program that are under @vectorize."""
        return [f for f in self.module.functions.values() if f.demand is not None]

    @cached_property
    def text(self) -> Text:
        """The LLVM text, entry included."""
        why = can_be_called(self.function)
        if why:
            raise ArgumentError(
                f"cannot be called from Python: {why}",
                where=f"{self.function.name}()",
                cure="call it from another kernel",
            )
        text = emit_module(self.module, self.target)
        EntryText(self.function, text).run()
        return text

    @cached_property
    def code(self) -> tuple[bytes, bool]:
        """(object file, whether it came from the cache)."""
        cache = self.options.cache or CodeCache.standard()
        check_targets(self.demands, self.target)
        text = self.text.finish()
        watched = self.text.loops and self.options.optimise and not self.options.checked
        check = partial(check_loops, self.text, text, self.flags) if watched else None
        return object_code(text, self.target, self.flags, cache, check)

    @cached_property
    def _loaded(self) -> Loaded:
        """The code in memory: the callables made from it reach this object, and so keep it.

        Errors: UnsupportedError for code that this machine cannot run, before it meets an illegal instruction.
        """
        self.target.require_runnable(f"{self.function.name}()")
        pool = (self.options.pool or standard_pool()) if self.text.parallel else None
        return Loaded(self.code[0], self.function, self._raise_fault, pool)

    @cached_property
    def entry(self) -> Callable[..., Any]:  # Any: the kernel's arguments and result
        """The built-in function that runs the kernel: the fastest way to call it."""
        loaded = self._loaded
        exact = loaded.bind(self.function.name, self._unexpected)

        def slow(*given: Any) -> Any:
            return exact(*convert_arguments(self.function, given))

        return loaded.bind(self.function.name, slow)

    def __call__(self, *given: Any) -> Any:
        return self.entry(*given)

    def interpret(self, *given: Any) -> Any:  # Any: the kernel's arguments and result
        """Run the kernel by its definition, in NumPy: slow, and every access is checked."""
        return interpret(self.module, self.function, convert_arguments(self.function, given))

    def _unexpected(self, *given: Any) -> Any:
        raise AssertionError(f"{self.function.name}: the entry refused converted arguments {given!r}")

    def _raise_fault(self, number: int) -> None:
        message, span = self.text.sites[number - 1]
        raise CheckError(message, span)


class Kernel:
    """A function of the language. Call it like a function; `compile` makes the code beforehand.

    Compile-time parameters (after the bare `*`) are given by keyword and cost a compilation for each new value.
    """

    def __init__(self, definition: Definition, options: Options | None = None) -> None:
        self.definition = definition
        self.options = options or Options()
        self._compiled: dict[tuple[Any, ...], Compiled] = {}
        self._entries: dict[tuple[Any, ...], Callable[..., Any]] = {}  # by the kinds of arguments, of generic kernels
        self._lock = threading.Lock()  # two threads that call first compile once
        self._only: Callable[..., Any] | None = None  # the entry, when there is no choice to make
        self.__name__ = self.__qualname__ = definition.name
        self.__doc__ = inspect.getdoc(definition.function)
        self.__module__ = definition.function.__module__

    def __call__(self, *given: Any, **named: Any) -> Any:  # Any: the kernel's arguments and result
        if self._only is not None and not named:
            return self._only(*given)
        return self._first_call(given, named)

    def __repr__(self) -> str:
        return f"<kernel {self.__name__}>"

    def with_options(self, **changes: Any) -> "Kernel":  # Any: the fields of Options
        """Return the same kernel compiled another way."""
        return Kernel(self.definition, replace(self.options, **changes))

    def compile(self, *kinds: t.Type, **named: Any) -> Compiled:  # Any: compile-time values
        """Return the kernel for these types of the run-time parameters and these constants.

        Types may be left out where the signature states them. Errors: KernelError, pointing at the source.
        """
        key = (kinds, tuple(sorted((n, getattr(v, "definition", v)) for n, v in named.items())))
        with self._lock:
            return self._compile(key, kinds, named)

    def _compile(self, key: tuple[Any, ...], kinds: tuple[t.Type, ...], named: dict[str, Any]) -> Compiled:
        if key not in self._compiled:
            module, function = self.lower(*kinds, **named)
            (self.options.order or standard_order()).add(module.edges)
            if self.options.checked:
                add_checks(module)
                verify_module(module)
            self._compiled[key] = Compiled(module, function, self.options)
        return self._compiled[key]

    def lower(self, *kinds: t.Type, **named: Any) -> tuple[Module, Function]:  # Any: compile-time values
        """Return the verified IR of the kernel and all it calls, and its own function."""
        program, instance = self.elaborate(*kinds, **named)
        module = lower_program(program.in_order())
        verify_module(module)
        return module, module.functions[instance.symbol]

    def elaborate(self, *kinds: t.Type, **named: Any) -> tuple[Program, Instance]:  # Any: compile-time values
        """Return the checked typed tree of the kernel and all it calls, and its own part."""
        program = Program()
        span = self.definition.name_span
        bindings = program.named_bindings(self.definition, {n: Known(v, span) for n, v in named.items()}, span)
        patterns = program.parameter_types(self.definition, bindings)
        if kinds and len(kinds) != len(patterns):
            raise KernelTypeError(f"{self.__name__} has {len(patterns)} parameters, got {len(kinds)} types", span=span)
        match = Match(bindings)
        for pattern, kind in zip(patterns, kinds, strict=False):
            match.bind(pattern, kind, span)
        found = [substitute(p, bindings) for p in patterns]
        program.all_bound(self.definition, found, span)
        return program, program.instance(self.definition, found, bindings, span)

    def compiled_for(self, given: Sequence[Any], named: Mapping[str, Any]) -> Compiled:  # Any: see __call__
        """Return the kernel for the types these arguments have. Errors: KernelError, ArgumentError."""
        signature = self.definition.signature
        program = Program()
        span = self.definition.name_span
        known = {n: Known(v, span) for n, v in named.items()}
        patterns = program.parameter_types(self.definition, program.named_bindings(self.definition, known, span))
        if not any(mentions_parameters(p) for p in patterns):
            return self.compile(**named)
        if len(given) != len(patterns):
            names = ", ".join(signature.names)
            where = f"{self.__name__}()"
            raise ArgumentError(f"takes {len(patterns)} arguments ({names}), got {len(given)}", where=where)
        kinds = [
            argument_type(f"{self.__name__}({n})", p, a)
            for n, p, a in zip(signature.names, patterns, given, strict=True)
        ]
        return self.compile(*kinds, **named)

    def _first_call(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:  # Any: see __call__
        key = (*map(_dispatch_key, given), *((n, getattr(v, "definition", v)) for n, v in named.items()))
        entry = self._entries.get(key)
        if entry is None:
            compiled = self.compiled_for(given, named)
            entry = self._entries[key] = compiled.entry
            if not named and not self.definition.signature.comptime and compiled is self._compiled.get(((), ())):
                self._only = entry
        return entry(*given)


def _dispatch_key(argument: Any) -> Any:  # Any: see Kernel.__call__
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


def uses_vectors(module: Module) -> bool:
    """True where a kernel says itself what is a vector."""
    return any(
        op.result is not None and isinstance(op.result.type, t.VecType)
        for f in module.functions.values()
        for b in f.blocks
        for op in b.ops
    )


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
    """Return the kernel of a plain function."""
    assert isinstance(function, FunctionType), "@kernel goes on a function"
    return Kernel(Definition(function, inline))
