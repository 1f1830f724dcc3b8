"""From LLVM text to an object file, for any target, by LLVM alone.

Two things end the process inside LLVM instead of raising: inline assembly for a machine other than this one (llvmlite
carries only the native assembly parser), and, on some targets, an operation the machine lacks. The first is refused by
reading the text; targets with the second say so (`generator_may_exit`) and are translated in a child process.
"""

import re
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from hekla.lang.link.errors import AssembleError
from hekla.lang.targets.seam import Target

_INLINE_ASSEMBLY = re.compile(r'^(?!\s*;)(?:module\s+asm\s|[^"\n]*\sasm\s+(?:[a-z]+\s+)*")', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Making:
    """How code is made: the level of LLVM's passes (0 to 3), and whether it must run wherever it lies."""

    level: int = 2
    movable: bool = False
    vectorise: bool = True


@cache
def initialise() -> None:
    """Make every code generator of LLVM ready, once in a process."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def machine(target: Target, making: Making) -> llvm.TargetMachine:
    """Return LLVM's code generator for a target."""
    initialise()
    made = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=",".join(target.features),
        opt=min(making.level, 2),
        reloc="pic" if making.movable else "static",
        codemodel=target.code_model,
        abiname=target.abi,
    )
    assert isinstance(made, llvm.TargetMachine)
    return made


def parse(text: str, target: Target) -> llvm.ModuleRef:
    """Return a verified module for a target, whatever target its text names. Errors: AssembleError."""
    initialise()
    if _INLINE_ASSEMBLY.search(text):
        cure = "call a function that the linker provides (hekla_write, hekla_exit), or write it as LLVM intrinsics"
        raise AssembleError("inline assembly cannot be translated for a target", where=target.name, cure=cure)
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise AssembleError(f"LLVM refuses the text: {str(error).strip()}", where=target.name) from error
    module.triple = target.triple
    module.data_layout = str(machine(target, Making()).target_data)
    return module


def assemble(text: str, target: Target, making: Making, exports: Collection[str] | None = None) -> bytes:
    """Return the object file of LLVM text; all but `exports` become private to it, so unused ones vanish.

    `exports` None leaves every name as it is. Errors: AssembleError with LLVM's words.
    """
    if target.generator_may_exit:
        return _in_child(text, target, making, exports)
    return assemble_here(text, target, making, exports)


def assemble_here(text: str, target: Target, making: Making, exports: Collection[str] | None) -> bytes:
    """Return what `assemble` does, in this process whatever the target."""
    module = parse(text, target)
    if exports is not None:
        make_private(module, exports)
    generator = machine(target, making)
    options = llvm.create_pipeline_tuning_options(speed_level=making.level)
    options.loop_vectorization = options.slp_vectorization = making.vectorise and target.vector_bits > 0
    builder = llvm.create_pass_builder(generator, options)
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    drop = llvm.create_new_module_pass_manager()
    drop.add_global_dead_code_eliminate_pass()
    drop.run(module, builder)
    try:
        code = generator.emit_object(module)
    except RuntimeError as error:
        raise AssembleError(f"LLVM cannot translate it: {str(error).strip()}", where=target.name) from error
    assert isinstance(code, bytes)
    return code


def make_private(module: llvm.ModuleRef, exports: Collection[str]) -> None:
    """Hide every definition but `exports`, so that unused ones vanish and used ones need no table."""
    for thing in (*module.functions, *module.global_variables):
        if not thing.is_declaration and thing.name not in exports and not thing.name.startswith("llvm."):
            thing.linkage = "internal"


def _in_child(text: str, target: Target, making: Making, exports: Collection[str] | None) -> bytes:
    names = "*" if exports is None else ",".join(exports)
    call = [sys.executable, "-m", "hekla.lang.link.assemble_child", target.name, str(making.level), names]
    done = subprocess.run(call, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AssembleError(f"LLVM cannot translate it: {said[-1] if said else 'it gave no reason'}", where=target.name)
    return done.stdout
