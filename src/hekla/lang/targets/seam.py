"""What the linker and the code generator ask of a target. The kit is tests/lang/targets; a family is one file here."""

from typing import Protocol

from hekla.lang.targets.memory import MemoryMap


class Target(Protocol):
    """A machine to make code for. Plain data: two equal targets give the same bytes."""

    @property
    def name(self) -> str:
        """The name users type: `aarch64-cortex-a53`."""

    @property
    def family(self) -> str:
        """Which linker and start code: x86-64, aarch64, riscv64, thumb, wasm32 or bpf."""

    @property
    def triple(self) -> str:
        """LLVM's target triple."""

    @property
    def cpu(self) -> str:
        """LLVM's processor name."""

    @property
    def features(self) -> tuple[str, ...]:
        """LLVM's features beyond those of the processor, each with its sign: `+v`, `-avx512f`."""

    @property
    def abi(self) -> str:
        """LLVM's name of the calling convention where the triple does not decide it (RISC-V), or empty."""

    @property
    def pointer_bits(self) -> int:
        """Width of an address."""

    @property
    def vector_bits(self) -> int:
        """Width of the vectors to write code for; 0 where the machine has none."""

    @property
    def code_model(self) -> str:
        """LLVM's code model: how far code and data may lie apart."""

    @property
    def required(self) -> tuple[str, ...]:
        """Features to check before the first instruction runs, by LLVM's names."""

    @property
    def memory(self) -> MemoryMap | None:
        """Where flash and memory lie on a machine without an operating system."""

    @property
    def generator_may_exit(self) -> bool:
        """True where LLVM ends the process on programs it cannot translate, so that it must run in a child."""
