"""Refuse a processor that lacks what the program needs, where Linux says what it has: AArch64, RISC-V; and Cortex-M.

The stack at the start of a program (System V ABI, "Process Initialization"), in words of 8 bytes: the number of
arguments, their addresses, 0, the environment's addresses, 0, then pairs of kind and value up to kind 0. Kinds 16 and
26 are AT_HWCAP and AT_HWCAP2; their bits are the kernel's (arch/arm64/include/uapi/asm/hwcap.h; for RISC-V one bit for
each letter of the instruction set, A lowest). A Cortex-M7 says in MVFR0, at 0xe000ef40, bits 8 to 11, whether it
computes with f64: 2 (Armv7-M Architecture Reference Manual, B3.2.20); not all do.
"""

from dataclasses import replace

from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.objects import ObjectFile
from hekla.lang.link.start_x86 import REFUSED
from hekla.lang.targets.seam import Target
from hekla.lang.targets.spec import TargetSpec

BEGIN = "hekla_begin"

_HWCAP, _HWCAP2 = 0, 1
_BITS = {
    "aarch64": {
        "neon": (_HWCAP, 1), "lse": (_HWCAP, 8), "fullfp16": (_HWCAP, 10), "jsconv": (_HWCAP, 13),
        "complxnum": (_HWCAP, 14), "rcpc": (_HWCAP, 15), "dotprod": (_HWCAP, 20), "sve": (_HWCAP, 22),
        "fp16fml": (_HWCAP, 23), "i8mm": (_HWCAP2, 13), "bf16": (_HWCAP2, 14),
    },
    "riscv64": {letter: (_HWCAP, ord(letter) - ord("a")) for letter in "mafdcv"},
}  # fmt: skip

_TEXT = """
@message = private constant [LENGTH x i8] c"MESSAGE\\0A"
declare i32 @ENTRY(ptr)
declare i64 @hekla_write(i32, ptr, i64)
declare void @hekla_exit(i32)

define i32 @hekla_begin(ptr %stack) nounwind {
entry:
  %arguments = load i64, ptr %stack
  %skip = add i64 %arguments, 2
  %environment = getelementptr i64, ptr %stack, i64 %skip
  br label %variables
variables:
  %at = phi ptr [ %environment, %entry ], [ %after, %variables ]
  %variable = load i64, ptr %at
  %after = getelementptr i64, ptr %at, i64 1
  %last = icmp eq i64 %variable, 0
  br i1 %last, label %pairs, label %variables
pairs:
  %pair = phi ptr [ %after, %variables ], [ %pair.next, %next ]
  %first = phi i64 [ 0, %variables ], [ %first.next, %next ]
  %second = phi i64 [ 0, %variables ], [ %second.next, %next ]
  %kind = load i64, ptr %pair
  %value.at = getelementptr i64, ptr %pair, i64 1
  %end = icmp eq i64 %kind, 0
  br i1 %end, label %decide, label %next
next:
  %value = load i64, ptr %value.at
  %is.first = icmp eq i64 %kind, 16
  %is.second = icmp eq i64 %kind, 26
  %first.next = select i1 %is.first, i64 %value, i64 %first
  %second.next = select i1 %is.second, i64 %value, i64 %second
  %pair.next = getelementptr i64, ptr %pair, i64 2
  br label %pairs
decide:
  %first.has = and i64 %first, MASK1
  %second.has = and i64 %second, MASK2
  %first.good = icmp eq i64 %first.has, MASK1
  %second.good = icmp eq i64 %second.has, MASK2
  %good = and i1 %first.good, %second.good
  br i1 %good, label %run, label %refuse
run:
  %status = call i32 @ENTRY(ptr %stack)
  ret i32 %status
refuse:
  %written = call i64 @hekla_write(i32 2, ptr @message, i64 LENGTH)
  call void @hekla_exit(i32 STATUS)
  unreachable
}
"""
_LOADED = """
@message = private constant [LENGTH x i8] c"MESSAGE\\0A"
declare i64 @getauxval(i64)
declare i64 @write(i32, ptr, i64)
declare void @_exit(i32)

define void @hekla_check() nounwind {
entry:
  %first = call i64 @getauxval(i64 16)
  %second = call i64 @getauxval(i64 26)
  %first.has = and i64 %first, MASK1
  %second.has = and i64 %second, MASK2
  %first.good = icmp eq i64 %first.has, MASK1
  %second.good = icmp eq i64 %second.has, MASK2
  %good = and i1 %first.good, %second.good
  br i1 %good, label %run, label %refuse
run:
  ret void
refuse:
  %written = call i64 @write(i32 2, ptr @message, i64 LENGTH)
  call void @_exit(i32 STATUS)
  unreachable
}
"""
_BARE = """
@message = private constant [LENGTH x i8] c"MESSAGE\\0A"
declare i32 @ENTRY()
declare i32 @hekla_console_write(i32, ptr, i32)
declare void @hekla_exit(i32)

define i32 @hekla_begin() nounwind {
entry:
  %unit = load volatile i32, ptr inttoptr (i32 -536809664 to ptr)
  %double = and i32 %unit, 3840
  %good = icmp eq i32 %double, 512
  br i1 %good, label %run, label %refuse
run:
  %status = call i32 @ENTRY()
  ret i32 %status
refuse:
  %written = call i32 @hekla_console_write(i32 2, ptr @message, i32 LENGTH)
  call void @hekla_exit(i32 STATUS)
  unreachable
}
"""
# What any processor of the family runs: the check itself must not need what it checks for.
_BASE = {
    "aarch64": ("generic", ("+neon",)), "riscv64": ("generic-rv64", ("+m", "+a", "+f", "+d", "+c")),
    "thumb": ("cortex-m4", ()),
}  # fmt: skip


def refusal(target: Target) -> str:
    """Return what a program says to a processor it cannot run on."""
    return f"this program is built for {target.name}; this processor lacks a feature it needs"


def start_check(entry: str, target: Target) -> ObjectFile:
    """Return an object whose `hekla_begin` runs the entry, or refuses with a message and status 126."""
    return _made((_BARE if target.family == "thumb" else _TEXT).replace("ENTRY", entry), target)


def load_check(target: Target) -> ObjectFile | None:
    """Return an object whose `hekla_check` the loader of a shared object calls; None where every processor will do."""
    features = _BASE[target.family][1]
    if {f"+{f}" for f in target.required} <= set(features):
        return None
    return _made(_LOADED, target)


def _made(text: str, target: Target) -> ObjectFile:
    masks = [0, 0]
    for feature in target.required if target.family in _BITS else ():
        word, bit = _BITS[target.family][feature]
        masks[word] |= 1 << bit
    message = refusal(target)
    text = text.replace("MESSAGE", message).replace("LENGTH", str(len(message) + 1))
    text = text.replace("MASK1", str(masks[0])).replace("MASK2", str(masks[1])).replace("STATUS", str(REFUSED))
    cpu, features = _BASE[target.family]
    base = TargetSpec(target.name, target.family, target.triple, cpu, features, target.abi, vector_bits=0)
    base = replace(base, code_model=target.code_model, pointer_bits=target.pointer_bits)
    return read_object(
        assemble(text, base, Making(1, movable="@hekla_check" in text, vectorise=False)), "the check of the processor"
    )
