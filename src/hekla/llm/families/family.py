"""What a family's file provides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hekla.llm.metadata import Metadata
from hekla.llm.model_config import ModelConfig
from hekla.llm.tensors import StoredTensor

Tensors: TypeAlias = Mapping[str, StoredTensor]  # by the names of `tensors.py`


@dataclass(frozen=True, slots=True)
class Family:
    """A family of architectures and how its files are read.

    Both readers raise ModelFileError naming the key that is missing or wrong, UnsupportedError naming a variant that is
    not computed.
    """

    name: str
    architectures: frozenset[str]  # GGUF's `general.architecture`
    model_types: frozenset[str]  # config.json's `model_type`
    from_gguf: Callable[[Metadata, Tensors], ModelConfig]
    from_huggingface: Callable[[Metadata, Tensors], ModelConfig]
    norm_names: Mapping[str, str]  # of safetensors, in a layer: the name of `tensors.py`
