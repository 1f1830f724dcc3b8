"""The one implementation of `Target`: a frozen record that each family fills."""

from dataclasses import dataclass

from hekla.lang.targets.memory import MemoryMap


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """See `seam.Target` for each field."""

    name: str
    family: str
    triple: str
    cpu: str
    features: tuple[str, ...] = ()
    abi: str = ""
    pointer_bits: int = 64
    vector_bits: int = 128
    code_model: str = "small"
    required: tuple[str, ...] = ()
    memory: MemoryMap | None = None
    generator_may_exit: bool = False
