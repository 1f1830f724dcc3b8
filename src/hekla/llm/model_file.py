"""`open_model`: a model's file or folder, mapped, as what the engine wants of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from hekla.base.errors import ModelFileError, NotFoundError, UnsupportedError
from hekla.llm.checks import check_model
from hekla.llm.expected import expected_tensors
from hekla.llm.families import family_of_architecture, family_of_model_type
from hekla.llm.families.decoder import FACTORS
from hekla.llm.gguf import read_gguf
from hekla.llm.huggingface import (
    canonical_tensors,
    huggingface_special_texts,
    huggingface_templates,
    read_shards,
    with_generation_config,
)
from hekla.llm.json_file import read_json
from hekla.llm.metadata import Metadata
from hekla.llm.model_config import ModelConfig
from hekla.llm.tensors import Quantisation, StoredTensor
from hekla.runtime import MappedFile


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model, mapped. Nothing of its weights was read; the tensors keep the mapping alive."""

    path: Path  # the file, or the folder
    name: str
    config: ModelConfig
    tensors: Mapping[str, StoredTensor]  # by the names of `tensors.py`; only those that the config wants
    metadata: Metadata  # GGUF's, or config.json
    chat_templates: Mapping[str, str]  # by name, "" the usual one; empty where the model has none
    quantisation: str  # what most weights are: "Q4_1"
    parameters: int  # a head that is the embedding counts once
    files: tuple[MappedFile, ...]
    special_texts: Mapping[str, str] = field(default_factory=dict)  # `bos_token` and the like; GGUF has numbers instead
    unknown_tensors: tuple[str, ...] = ()  # what the file has besides, and nobody asks for

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors as the file has them."""
        return sum(_stored_bytes(tensor) for tensor in self.tensors.values())


def open_model(path: Path) -> ModelFile:
    """Map a model and check it: a GGUF file, or a folder with one, or with config.json and safetensors.

    Errors: NotFoundError where there is none; ModelFileError for one that is damaged; TensorError for a tensor that is
    not what its architecture needs; UnsupportedError naming an architecture or a quantisation that is not read.
    """
    if not path.is_dir():
        return open_gguf(path)
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise ModelFileError(f"expected one .gguf file, found {names}", where=str(path), cure="keep one of them")
    if found:
        return open_gguf(found[0])
    if (path / "config.json").is_file():
        return open_huggingface(path)
    raise NotFoundError("no model here", where=str(path), cure="put a .gguf file there, or config.json and safetensors")


def open_gguf(path: Path) -> ModelFile:
    """Map a GGUF file. Errors: as `open_model`."""
    file = read_gguf(path)
    metadata = Metadata(file.metadata, str(path))
    if metadata.integer("split.count", 1) > 1:
        raise UnsupportedError("a model split into several files", where=str(path), cure="join them with gguf-split")
    family = family_of_architecture(metadata.text("general.architecture"), metadata.where)
    config = family.from_gguf(metadata, file.tensors)
    expected = expected_tensors(config)
    tensors = {name: tensor for name, tensor in file.tensors.items() if name in expected}
    unknown = tuple(name for name in file.tensors if name not in expected and name != FACTORS)
    check_model(config, tensors, unknown, str(path))
    return ModelFile(
        path=path,
        name=metadata.text("general.name", path.stem),
        config=config,
        tensors=tensors,
        metadata=metadata,
        chat_templates=_gguf_templates(metadata),
        quantisation=main_quantisation(tensors),
        parameters=parameters(tensors),
        files=(file.file,),
        unknown_tensors=unknown,
    )


def _gguf_templates(metadata: Metadata) -> Mapping[str, str]:
    names = metadata.texts("tokenizer.chat_templates") or ()
    found = {name: metadata.text(f"tokenizer.chat_template.{name}", "") for name in names}
    found[""] = metadata.text("tokenizer.chat_template", "")
    return {name: text for name, text in found.items() if text} if found[""] else {}


def open_huggingface(folder: Path) -> ModelFile:
    """Map a folder with config.json and safetensors. Errors: as `open_model`."""
    table = read_json(folder / "config.json")
    config_metadata = Metadata(with_generation_config(folder, table), str(folder / "config.json"))
    family = family_of_model_type(config_metadata.text("model_type"), config_metadata.where)
    files, stored = read_shards(folder)
    named, unknown = canonical_tensors(stored, family.norm_names, config_metadata)
    config = family.from_huggingface(config_metadata, named)
    expected = expected_tensors(config)
    tensors = {name: tensor for name, tensor in named.items() if name in expected}
    unknown = [*unknown, *(name for name in named if name not in expected)]
    check_model(config, tensors, unknown, str(folder))
    return ModelFile(
        path=folder,
        name=folder.name,
        config=config,
        tensors=tensors,
        metadata=config_metadata,
        chat_templates=huggingface_templates(folder),
        quantisation=main_quantisation(tensors),
        parameters=parameters(tensors),
        files=files,
        special_texts=huggingface_special_texts(folder),
        unknown_tensors=tuple(sorted(unknown)),
    )


def main_quantisation(tensors: Mapping[str, StoredTensor]) -> str:
    """Return the kind that most of the layers' weights are of; "" for a model without layers."""
    counted: Counter[Quantisation] = Counter()
    for name, tensor in tensors.items():
        if name.startswith("blk.") and len(tensor.shape) == 2:
            counted[tensor.quantisation] += prod(tensor.shape)
    return counted.most_common(1)[0][0].name if counted else ""


def parameters(tensors: Mapping[str, StoredTensor]) -> int:
    """Return how many numbers the tensors hold."""
    return sum(prod(tensor.shape) for tensor in tensors.values())


def _stored_bytes(tensor: StoredTensor) -> int:
    beside = sum(part.nbytes for part in (tensor.scales, tensor.zeros) if part is not None)
    return tensor.data.nbytes + beside
