"""All families, by the names that files call them."""

from hekla.base.errors import UnsupportedError, quoted
from hekla.llm.families import gemma2, gemma3, llama, qwen2, qwen3
from hekla.llm.families.family import Family

FAMILIES: tuple[Family, ...] = (llama.FAMILY, qwen2.FAMILY, qwen3.FAMILY, gemma2.FAMILY, gemma3.FAMILY)


def family_of_architecture(architecture: str, where: str) -> Family:
    """Return the family of a GGUF's `general.architecture`. Errors: UnsupportedError listing those that are known."""
    for family in FAMILIES:
        if architecture in family.architectures:
            return family
    known = sorted(name for family in FAMILIES for name in family.architectures)
    raise UnsupportedError(
        f"the architecture {quoted(architecture)} is not known", where=where, cure=f"known: {', '.join(known)}"
    )


def family_of_model_type(model_type: str, where: str) -> Family:
    """Return the family of a config.json's `model_type`. Errors: UnsupportedError listing those that are known."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = sorted(name for family in FAMILIES for name in family.model_types)
    raise UnsupportedError(
        f"the model type {quoted(model_type)} is not known", where=where, cure=f"known: {', '.join(known)}"
    )
