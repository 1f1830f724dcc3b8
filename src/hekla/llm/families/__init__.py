"""The families of models that are read: one file each, from a model's metadata to a `ModelConfig`."""

from hekla.llm.families.catalogue import family_of_architecture, family_of_model_type
from hekla.llm.families.family import Family

__all__ = ["Family", "family_of_architecture", "family_of_model_type"]
