"""x86-64 Linux. System calls: number in rax, arguments in rdi rsi rdx, where a C call has them too; write 1, exit 231.

`_start` first asks `cpuid` for every feature the target requires, and refuses with a message and status 126 before
the first instruction that could be illegal.
"""

import struct
from collections.abc import Sequence

from hekla.lang.link.objects import ALLOC, ObjectFile, Section, Symbol
from hekla.lang.link.relocate_x86 import X86_64
from hekla.lang.link.start import OWNER, Function, code_object
from hekla.lang.targets.seam import Target

CHECK = "hekla_check"
REFUSED = 126  # exit status; "found but cannot be executed", as shells use it
_PC32, _PLT32 = 2, 4

# feature: (cpuid leaf, register, bit); Intel's manual, volume 2A, CPUID
_ECX, _EDX, _EBX = 1, 2, 3
_BITS = {
    "sse3": (1, _ECX, 0), "ssse3": (1, _ECX, 9), "fma": (1, _ECX, 12), "cx16": (1, _ECX, 13), "sse4.1": (1, _ECX, 19),
    "sse4.2": (1, _ECX, 20), "movbe": (1, _ECX, 22), "popcnt": (1, _ECX, 23), "xsave": (1, _ECX, 27),
    "avx": (1, _ECX, 28), "f16c": (1, _ECX, 29), "bmi": (7, _EBX, 3), "avx2": (7, _EBX, 5), "bmi2": (7, _EBX, 8),
    "avx512f": (7, _EBX, 16), "avx512dq": (7, _EBX, 17), "avx512cd": (7, _EBX, 28), "avx512bw": (7, _EBX, 30),
    "avx512vl": (7, _EBX, 31), "avx512ifma": (7, _EBX, 21), "sha": (7, _EBX, 29), "avx512vbmi": (7, _ECX, 1),
    "avx512vbmi2": (7, _ECX, 6), "gfni": (7, _ECX, 8), "vaes": (7, _ECX, 9), "vpclmulqdq": (7, _ECX, 10),
    "avx512vnni": (7, _ECX, 11), "avx512bitalg": (7, _ECX, 12), "avx512vpopcntdq": (7, _ECX, 14),
    "avx512fp16": (7, _EDX, 23), "pclmul": (1, _ECX, 1), "aes": (1, _ECX, 25),
    "sahf": (0x80000001, _ECX, 0), "lzcnt": (0x80000001, _ECX, 5),
}  # fmt: skip


_SYSCALL = bytes.fromhex(
    "4889f8 4889f7 4889d6 4889ca"  # mov rax, rdi; mov rdi, rsi; mov rsi, rdx; mov rdx, rcx
    "4d89c2 4d89c8 4c8b4c2408 0f05 c3"  # mov r10, r8; mov r8, r9; mov r9, [rsp + 8]; syscall; ret
)
_THREAD = bytes.fromhex(
    "4989c9 b838000000 0f05 85c0 7401 c3"  # mov r9, rcx; mov eax, 56; syscall; test eax, eax; jz child; ret
    "31ed 4c89cf ffd2"  # child: xor ebp, ebp; mov rdi, r9; call rdx
    "b83c000000 31ff 0f05 0f0b"  # mov eax, 60; xor edi, edi; syscall; ud2
)


def _start(entry: str, target: Target) -> Function:
    code = bytearray(bytes.fromhex("31ed 4889e7 4883e4f0 4989fc"))
    # xor ebp, ebp; mov rdi, rsp; and rsp, -16; mov r12, rdi
    jumps = _ask(code, target.required)
    code += bytes.fromhex("4c89e7")  # mov rdi, r12
    called = len(code) + 1
    code += bytes.fromhex("e800000000 89c7 b8e7000000 0f05 0f0b")
    # call entry; mov edi, eax; mov eax, 231; syscall; ud2
    message = _refuse(code, target, jumps)
    return Function("_start", bytes(code), ((called, _PLT32, entry, -4), (message, _PC32, "hekla_refusal", -4)))


def _check(target: Target, required: Sequence[str]) -> Function:
    """What a shared object runs when it is loaded."""
    code = bytearray(bytes.fromhex("53"))  # push rbx
    jumps = _ask(code, required)
    code += bytes.fromhex("5b c3")  # pop rbx; ret
    message = _refuse(code, target, jumps)
    return Function(CHECK, bytes(code), ((message, _PC32, "hekla_refusal", -4),))


def _ask(code: bytearray, required: Sequence[str]) -> list[int]:
    """Write the questions, and return where the jumps are that must lead to the refusal."""
    jumps: list[int] = []
    masks: dict[tuple[int, int], int] = {}
    for feature in required:
        leaf, register, bit = _BITS[feature]
        masks[leaf, register] = masks.get((leaf, register), 0) | 1 << bit
    for (leaf, register), mask in sorted(masks.items()):
        code += b"\xb8" + struct.pack("<I", leaf)  # mov eax, leaf
        code += bytes.fromhex("31c9 0fa2")  # xor ecx, ecx; cpuid
        _compare(code, register, mask, jumps)
    if "avx" in required:  # the system must save the registers too: XCR0 (volume 1, 13.3)
        code += bytes.fromhex("31c9 0f01d0")  # xor ecx, ecx; xgetbv
        _compare(code, 0, 0xE6 if "avx512f" in required else 0x06, jumps)
    return jumps


def _refuse(code: bytearray, target: Target, jumps: Sequence[int]) -> int:
    """Write the refusal, lead the jumps to it, and return where the address of its message is missing."""
    refuse = len(code)
    code += bytes.fromhex("bf02000000 488d3500000000") + b"\xba" + struct.pack("<I", len(_message(target)))
    # mov edi, 2; lea rsi, [rip + message]; mov edx, length
    code += bytes.fromhex("b801000000 0f05 bf7e000000 b8e7000000 0f05 0f0b")
    # mov eax, 1; syscall; mov edi, 126; mov eax, 231; syscall; ud2
    for at in jumps:
        code[at : at + 4] = struct.pack("<i", refuse - (at + 4))
    return refuse + 8


def _compare(code: bytearray, register: int, mask: int, jumps: list[int]) -> None:
    number = struct.pack("<I", mask)
    code += bytes([0x81, 0xE0 | register]) + number  # and register, mask
    code += bytes([0x81, 0xF8 | register]) + number  # cmp register, mask
    code += bytes.fromhex("0f8500000000")  # jne refuse
    jumps.append(len(code) - 4)


def _message(target: Target) -> bytes:
    return f"this program is built for {target.name}; this processor lacks a feature it needs\n".encode()


def start_x86(entry: str, target: Target) -> ObjectFile:
    """Return the start object of an executable."""
    functions = (
        _start(entry, target),
        Function("hekla_write", bytes.fromhex("b801000000 0f05 c3")),  # mov eax, 1; syscall; ret
        Function("hekla_syscall", _SYSCALL),
        Function("hekla_thread", _THREAD),
        Function("hekla_exit", bytes.fromhex("b8e7000000 0f05 0f0b")),  # mov eax, 231; syscall; ud2
    )
    return _with_message(code_object(X86_64, functions, 16), target)


def check_x86(target: Target) -> ObjectFile | None:
    """Return the check of a shared object, for loaders that do not read its note, and features beyond the levels."""
    if not target.required:
        return None
    return _with_message(code_object(X86_64, [_check(target, target.required)], 16), target)


def _with_message(made: ObjectFile, target: Target) -> ObjectFile:
    text = bytearray(_message(target))
    section = Section(".rodata.hekla_refusal", text, len(text), 1, ALLOC, owner=OWNER)
    made.sections.append(section)
    made.symbols.append(Symbol("hekla_refusal", section, 0, size=len(text)))
    return made
