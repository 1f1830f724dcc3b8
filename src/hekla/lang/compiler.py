"""The compiler: a kernel's definition to its typed tree, its IR, LLVM's text, and code.

`kernel.py` imports this when something must be compiled: a process whose kernels are all in the cache never loads it,
nor LLVM.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from hekla.lang import types as t
from hekla.lang.errors import ArgumentError, KernelTypeError
from hekla.lang.front.definition import Definition
from hekla.lang.front.known import Known
from hekla.lang.front.specialise import Match, Program, substitute, too_deep
from hekla.lang.hir import Instance
from hekla.lang.interface import Interface, Param
from hekla.lang.ir.core import Function, Module
from hekla.lang.ir.verify import verify_module
from hekla.lang.llvm.accept import check_loops, check_targets
from hekla.lang.llvm.built import Built
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.codegen import Flags, object_code
from hekla.lang.llvm.entry import EntryText, can_be_called
from hekla.lang.llvm.environment import ENTRY, ENVIRONMENT, POOL
from hekla.lang.llvm.link_image import link_image
from hekla.lang.llvm.system import over_c_library
from hekla.lang.llvm.target import Target
from hekla.lang.llvm.text import Text, emit_module
from hekla.lang.lower import lower_program

Named = Mapping[str, Any]  # Any: compile-time values


def elaborate(definition: Definition, kinds: tuple[t.Type, ...], named: Named) -> tuple[Program, Instance]:
    """Return the checked typed tree of a kernel and all it calls, and its own part. Errors: KernelError."""
    program = Program()
    span = definition.name_span
    bindings = program.named_bindings(definition, {n: Known(v, span) for n, v in named.items()}, span)
    patterns = program.parameter_types(definition, bindings)
    if kinds and len(kinds) != len(patterns):
        raise KernelTypeError(f"{definition.name} has {len(patterns)} parameters, got {len(kinds)} types", span=span)
    match = Match(bindings)
    for pattern, kind in zip(patterns, kinds, strict=False):
        match.bind(pattern, kind, span)
    found = [substitute(p, bindings) for p in patterns]
    program.all_bound(definition, found, span)
    return program, program.instance(definition, found, bindings, span)


def lower(definition: Definition, kinds: tuple[t.Type, ...], named: Named) -> tuple[Module, Function]:
    """Return the verified IR of a kernel and all it calls, and its own function. Errors: KernelError."""
    program, instance = elaborate(definition, kinds, named)
    try:
        module = lower_program(program.in_order())
    except RecursionError:
        raise too_deep(definition) from None
    verify_module(module)
    return module, module.functions[instance.symbol]


def parameter_types(definition: Definition, named: Named) -> list[t.Type]:
    """Return the types of the run-time parameters, TypeParams among them where nothing decides them yet."""
    program = Program()
    span = definition.name_span
    known = {n: Known(v, span) for n, v in named.items()}
    return program.parameter_types(definition, program.named_bindings(definition, known, span))


def entry_text(module: Module, function: Function, target: Target) -> Text:
    """Return the LLVM text of a kernel with the function CPython calls. Errors: ArgumentError where it cannot."""
    why = can_be_called(function)
    if why:
        raise ArgumentError(
            f"cannot be called from Python: {why}", where=f"{function.name}()", cure="call it from another kernel"
        )
    text = emit_module(module, target)
    over_c_library(text)
    EntryText(function, text).run()
    return text


def demands_of(module: Module) -> list[Function]:
    """Return the kernels of a program that are under @vectorize."""
    return [f for f in module.functions.values() if f.demand is not None]


def build(module: Module, function: Function, text: Text, flags: Flags, cache: CodeCache) -> tuple[Built, bool]:
    """Return the code of a kernel, linked, and whether the cache had it. Errors: VectorizeError, TargetError."""
    check_targets(demands_of(module), text.target)
    written = text.finish()
    watched = text.loops and flags.optimise and not flags.checked
    check = partial(check_loops, text, written, flags) if watched else None
    code, found = object_code(written, text.target, flags, cache, check)
    exports = [ENTRY, ENVIRONMENT, *([POOL] if text.parallel else [])]
    known = replace(interface_of(function), sites=tuple(text.sites), parallel=text.parallel, edges=tuple(module.edges))
    return Built(known, link_image(code, exports)), found


def interface_of(function: Function) -> Interface:
    """Return what the interpreter must know of a kernel."""
    return Interface(function.name, tuple(Param(p.hint, p.type) for p in function.params), function.result)


def uses_vectors(module: Module) -> bool:
    """True where a kernel says itself what is a vector."""
    return any(
        op.result is not None and isinstance(op.result.type, t.VecType)
        for f in module.functions.values()
        for b in f.blocks
        for op in b.ops
    )
