"""What the code is made for: triple, processor, features."""

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from hekla.base.errors import UnsupportedError

_V2 = frozenset({"cx16", "popcnt", "sahf", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3"})
_V3 = _V2 | {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
# What code for a processor may use though its target does not list it (System V ABI for x86-64, section 3.1.1).
LEVELS = {
    "generic": frozenset[str](),
    "x86-64": frozenset({"sse2"}),
    "x86-64-v2": _V2,
    "x86-64-v3": _V3,
    "x86-64-v4": _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"},
}


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to make code for; `features` are LLVM's names of what it can do."""

    triple: str
    cpu: str
    features: frozenset[str]

    def has(self, feature: str) -> bool:
        """True where the machine has a feature, by LLVM's name."""
        return feature in self.features

    @property
    def pointer_bits(self) -> int:
        """The width of an address."""
        return 32 if self.triple.startswith(("arm", "thumb", "wasm32")) else 64

    @property
    def needed(self) -> frozenset[str]:
        """What a processor must have to run this code: the features, and those the processor's name implies."""
        return self.features | LEVELS.get(self.cpu, frozenset())

    @property
    def feature_text(self) -> str:
        """The features as LLVM reads them."""
        return ",".join(f"+{f}" for f in sorted(self.features))

    @property
    def key(self) -> str:
        """A text that differs where the code may differ."""
        return f"{self.triple} {self.cpu} {self.feature_text}"

    def require_runnable(self, where: str) -> None:
        """Refuse a target whose code this process cannot run. Errors: UnsupportedError naming what is missing."""
        host = host_target()
        if self.triple.split("-")[0] != host.triple.split("-")[0]:
            raise UnsupportedError(f"this code is for {self.triple}, the machine is {host.triple}", where=where)
        if self.cpu != host.cpu and self.cpu not in LEVELS:
            raise UnsupportedError(
                f"this code is for the processor {self.cpu}, the machine is {host.cpu}",
                where=where,
                cure="compile for the host, or for a level such as x86-64-v3",
            )
        missing = sorted(self.needed - host.features)
        if missing:
            raise UnsupportedError(
                f"this code needs {', '.join(missing)}, which the processor lacks",
                where=where,
                cure="compile for the host",
            )

    def machine(self, optimise: bool) -> llvm.TargetMachine:
        """Return LLVM's code generator for this target."""
        _initialise()
        found = llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.cpu, features=self.feature_text, opt=2 if optimise else 0, reloc="pic", codemodel="small"
        )
        assert isinstance(found, llvm.TargetMachine)
        return found


@cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def host_target() -> Target:
    """Return the machine this process runs on."""
    _initialise()
    features = llvm.get_host_cpu_features()
    return Target(
        llvm.get_process_triple(), llvm.get_host_cpu_name(), frozenset(name for name, on in features.items() if on)
    )
