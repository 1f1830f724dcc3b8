"""AArch64 and RISC-V 64 Linux: system calls write 64, exit 93, exit_group 94, clone 220 in x8 and a7."""

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
    call = bytes.fromhex(
        "e80300aa"  # mov  x8, x0
        "e00301aa"  # mov  x0, x1
        "e10302aa"  # mov  x1, x2
        "e20303aa"  # mov  x2, x3
        "e30304aa"  # mov  x3, x4
        "e40305aa"  # mov  x4, x5
        "e50306aa"  # mov  x5, x6
        "010000d4"  # svc  #0
        "c0035fd6"  # ret
    )
    thread = bytes.fromhex(
        "881b80d2"  # mov  x8, #220
        "010000d4"  # svc  #0
        "400000b4"  # cbz  x0, child
        "c0035fd6"  # ret
        "1d0080d2"  # child: mov x29, #0
        "1e0080d2"  # mov  x30, #0
        "e00303aa"  # mov  x0, x3
        "40003fd6"  # blr  x2
        "a80b80d2"  # mov  x8, #93
        "010000d4"  # svc  #0
        "000020d4"  # brk  #0
    )
    functions = (
        Function("_start", start, ((12, _CALL26, entry, 0),)),
        Function("hekla_write", write),
        Function("hekla_syscall", call),
        Function("hekla_thread", thread),
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
    call = bytes.fromhex(
        "93080500"  # mv    a7, a0
        "13850500"  # mv    a0, a1
        "93050600"  # mv    a1, a2
        "13860600"  # mv    a2, a3
        "93060700"  # mv    a3, a4
        "13870700"  # mv    a4, a5
        "93070800"  # mv    a5, a6
        "73000000"  # ecall
        "67800000"  # ret
    )
    thread = bytes.fromhex(
        "9308c00d"  # li    a7, 220
        "73000000"  # ecall
        "63040500"  # beqz  a0, child
        "67800000"  # ret
        "13850600"  # child: mv a0, a3
        "e7000600"  # jalr  a2
        "9308d005"  # li    a7, 93
        "73000000"  # ecall
        "73001000"  # ebreak
    )
    functions = (
        Function("_start", start, ((4, _CALL_PLT, entry, 0),)),
        Function("hekla_write", write),
        Function("hekla_syscall", call),
        Function("hekla_thread", thread),
        Function("hekla_exit", start[12:]),
    )
    return code_object(RISCV64, functions, 4)
