"""From LLVM text to object code, through LLVM's passes and the cache."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import llvmlite
import llvmlite.binding as llvm

from hekla import __version__
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.target import Target

Check = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Flags:
    """How code is made. `vectorise` lets LLVM vectorise loops: for kernels that do not use Vec themselves."""

    optimise: bool = True
    checked: bool = False
    vectorise: bool = False


def object_code(
    text: str, target: Target, flags: Flags, cache: CodeCache, check: Check | None = None
) -> tuple[bytes, bool]:
    """Return (object file, whether it came from the cache); `check` sees what is new, and may refuse it."""
    version = f"{__version__} {llvmlite.__version__} {llvm.llvm_version_info}"
    key = hashlib.sha256("\0".join([version, target.key, repr(flags), text]).encode()).hexdigest()
    found = cache.get(key)
    if found is not None:
        return found, True
    code = compile_text(text, target, flags, check)
    cache.put(key, code)
    return code, False


def compile_text(text: str, target: Target, flags: Flags, check: Check | None = None) -> bytes:
    """Return the object file of LLVM text. RuntimeError from LLVM is a fault of this compiler.

    check: is given the optimised text before code is made of it.
    """
    machine = target.machine(flags.optimise)
    module = llvm.parse_assembly(text)
    module.verify()
    optimise(module, machine, flags)
    if check is not None:
        check(str(module))
    code = machine.emit_object(module)
    assert isinstance(code, bytes)
    return code


def optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine, flags: Flags) -> None:
    """Run LLVM's passes on a module in place."""
    # What is written with Vec is as its author wants it: level 1 is enough, and takes half of 2's time.
    level = (2 if flags.vectorise else 1) if flags.optimise else 0
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = options.slp_vectorization = flags.vectorise and flags.optimise
    options.loop_unrolling = flags.vectorise
    options.loop_interleaving = flags.vectorise
    builder = llvm.create_pass_builder(machine, options)
    if flags.optimise:
        builder.getModulePassManager().run(module, builder)
        return
    always = llvm.create_new_module_pass_manager()
    always.add_always_inliner_pass()
    always.run(module, builder)
