"""AArch64 and RISC-V 64 Linux: system calls write 64, exit_group 94 in x8 and a7, arguments where a C call has them."""

from hekla.lang.link.objects import ObjectFile
from hekla.lang.link.relocate_aarch64 import AARCH64
from hekla.lang.link.relocate_riscv import RISCV64
from hekla.lang.link.start import Function, code_object

_CALL26, _CALL_PLT = 283, 19


def start_aarch64(entry: str) -> ObjectFile:
    """Return the start object of an executable."""
    start = bytes.fromhex(
        "e0030091"  # mov  x0, sp
        "1d0080d2"  # mov  x29, #0
        "1e0080d2"  # mov  x30, #0
        "00000094"  # bl   entry
        "c80b80d2"  # mov  x8, #94
        "010000d4"  # svc  #0
        "000020d4"  # brk  #0
    )
    write = bytes.fromhex(
        "080880d2"  # mov  x8, #64
        "010000d4"  # svc  #0
        "c0035fd6"  # ret
    )
    functions = (
        Function("_start", start, ((12, _CALL26, entry, 0),)),
        Function("hekla_write", write),
        Function("hekla_exit", start[16:]),
    )
    return code_object(AARCH64, functions, 4)


def start_riscv(entry: str) -> ObjectFile:
    """Return the start object of an executable."""
    start = bytes.fromhex(
        "13050100"  # mv    a0, sp
        "97000000"  # auipc ra, hi(entry)
        "e7800000"  # jalr  ra, lo(entry)(ra)
        "9308e005"  # li    a7, 94
        "73000000"  # ecall
        "73001000"  # ebreak
    )
    write = bytes.fromhex(
        "93080004"  # li    a7, 64
        "73000000"  # ecall
        "67800000"  # ret
    )
    functions = (
        Function("_start", start, ((4, _CALL_PLT, entry, 0),)),
        Function("hekla_write", write),
        Function("hekla_exit", start[12:]),
    )
    return code_object(RISCV64, functions, 4)
