"""Cortex-M7 without an operating system: vector table, reset, and semihosting to a debugger or emulator.

Vector table at the start of flash (Armv7-M Architecture Reference Manual, B1.5.3)
offset  size  meaning
 0      4     the stack's first address
 4      4     _start, with bit 0 set: Thumb code
 8      56    14 system exceptions: all hekla_fault

`_start` turns the FPU on, copies .data from flash, clears .bss, calls the entry and exits with its result. Semihosting
(Arm's "Semihosting for AArch32", version 2): operation in r0, argument in r1, `bkpt 0xab`.
    3  SYS_WRITEC         r1: address of a byte
    4  SYS_WRITE0         r1: address of a text that ends in 0
    20 SYS_EXIT_EXTENDED  r1: address of {0x20026, exit status}
"""

from hekla.lang.link.objects import ALLOC, ObjectFile, Relocation, Section, Symbol
from hekla.lang.link.relocate_thumb import THUMB
from hekla.lang.link.start import OWNER, Function, code_object

VECTORS, VECTOR_SYMBOL = ".vectors", "hekla_vectors"
FAULT_STATUS = 70
_ABS32, _CALL, _MOVW, _MOVT = 2, 10, 47, 48


def _halves(text: str) -> bytes:
    """Instructions as the manual prints them, in halfwords: the least significant byte comes first in memory."""
    return b"".join(bytes.fromhex(half)[::-1] for half in text.split())


_START = _halves(
    "f64e 5088 f2ce 0000 "  # 00 movw r0, #0xed88; movt r0, #0xe000         CPACR
    "6801 f441 0170 6001 "  # 08 ldr r1, [r0]; orr r1, r1, #0xf00000; str r1, [r0]   coprocessors 10 and 11: the FPU
    "f3bf 8f4f f3bf 8f6f "  # 10 dsb; isb
    "f240 0000 f2c0 0000 "  # 18 movw, movt r0, __data_load
    "f240 0100 f2c0 0100 "  # 20 movw, movt r1, __data_start
    "f240 0200 f2c0 0200 "  # 28 movw, movt r2, __data_end
    "4291 d202 "  # 30 again: cmp r1, r2; bcs copied
    "c808 c108 e7fa "  # 34 ldmia r0!, {r3}; stmia r1!, {r3}; b again
    "f240 0100 f2c0 0100 "  # 3a copied: movw, movt r1, __bss_start
    "f240 0200 f2c0 0200 "  # 42 movw, movt r2, __bss_end
    "2300 "  # 4a movs r3, #0
    "4291 d201 c108 e7fb "  # 4c next: cmp r1, r2; bcs cleared; stmia r1!, {r3}; b next
    "f7ff fffe "  # 54 cleared: bl entry
    "f7ff fffe"  # 58 bl hekla_exit
)
_WRITE = _halves(
    "b530 460c 188d "  # 00 push {r4, r5, lr}; mov r4, r1; adds r5, r1, r2
    "42ac d204 "  # 06 again: cmp r4, r5; bcs done
    "2003 4621 beab "  # 0a movs r0, #3; mov r1, r4; bkpt 0xab
    "3401 e7f8 "  # 10 adds r4, #1; b again
    "4610 bd30"  # 14 done: mov r0, r2; pop {r4, r5, pc}
)
_WRITE0 = _halves("4601 2004 beab 4770")  # mov r1, r0; movs r0, #4; bkpt 0xab; bx lr
_EXIT = _halves(
    "4601 f240 0026 f2c0 0002 "  # 00 mov r1, r0; movw r0, #0x26; movt r0, #2
    "b403 4669 2020 beab e7fe"  # 0a push {r0, r1}; mov r1, sp; movs r0, #0x20; bkpt 0xab; b .
)
_FAULT = _halves("2046 f7ff fffe")  # movs r0, #70; bl hekla_exit


def start_thumb(entry: str) -> ObjectFile:
    """Return the start object of an image; it needs the linker's __stack_top, __data_* and __bss_*."""
    addresses = {
        0x18: "__data_load", 0x20: "__data_start", 0x28: "__data_end", 0x3A: "__bss_start", 0x42: "__bss_end",
    }  # fmt: skip
    moves = tuple(
        (at + skip, kind, name, None) for at, name in addresses.items() for skip, kind in ((0, _MOVW), (4, _MOVT))
    )
    calls = (*moves, (0x54, _CALL, entry, None), (0x58, _CALL, "hekla_exit", None))
    functions = (
        Function("_start", _START, calls),
        Function("hekla_console_write", _WRITE),
        Function("hekla_semihost", _halves("beab 4770")),  # bkpt 0xab; bx lr
        Function("hekla_write0", _WRITE0),
        Function("hekla_exit", _EXIT),
        Function("hekla_fault", _FAULT, ((2, _CALL, "hekla_exit", None),)),
    )
    made = code_object(THUMB, functions, 4, low_bit=1)
    made.sections.append(_vectors())
    made.symbols.append(Symbol(VECTOR_SYMBOL, made.sections[-1], 0, size=64))
    return made


def _vectors() -> Section:
    table = Section(VECTORS, bytearray(64), 64, 128, ALLOC, owner=OWNER)
    for number in range(16):
        name = "__stack_top" if number == 0 else "_start" if number == 1 else "hekla_fault"
        table.relocations.append(Relocation(4 * number, _ABS32, Symbol(name, None, 0), None))
    return table
