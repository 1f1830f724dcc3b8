"""What the code is made for: triple, processor, features."""

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from hekla.base.errors import UnsupportedError


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
        missing = sorted(self.features - host.features)
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
