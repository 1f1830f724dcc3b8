"""`open_model`: a model's file or folder, mapped, as what the engine wants of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hekla.base.errors import ModelFileError, NotFoundError
from hekla.llm.expected import expected_tensors
from hekla.llm.families import family_of_architecture
from hekla.llm.gguf import read_gguf
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
    chat_template: str | None
    quantisation: str  # what most weights are: "Q4_1"
    parameters: int  # a head that is the embedding counts once
    files: tuple[MappedFile, ...]

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors as the file has them."""
        return sum(_stored_bytes(tensor) for tensor in self.tensors.values())


def open_model(path: Path) -> ModelFile:
    """Map a model: a GGUF file, or a folder with one.

    Errors: NotFoundError where there is none; ModelFileError for one that is damaged, or lacks what its architecture
    needs; UnsupportedError naming an architecture or a quantisation that is not read.
    """
    return open_gguf(gguf_in(path) if path.is_dir() else path)


def gguf_in(folder: Path) -> Path:
    """Return the one GGUF of a folder. Errors: NotFoundError for none, ModelFileError for several."""
    found = sorted(folder.glob("*.gguf"))
    if not found:
        raise NotFoundError("no model here", where=str(folder), cure="put one .gguf file there")
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:5])
        raise ModelFileError(f"expected one .gguf file, found {names}", where=str(folder), cure="keep one of them")
    return found[0]


def open_gguf(path: Path) -> ModelFile:
    """Map a GGUF file. Errors: as `open_model`."""
    file = read_gguf(path)
    metadata = Metadata(file.metadata, str(path))
    family = family_of_architecture(metadata.text("general.architecture"), metadata.where)
    config = family.from_gguf(metadata, file.tensors)
    tensors = {name: tensor for name, tensor in file.tensors.items() if name in expected_tensors(config)}
    template = metadata.text("tokenizer.chat_template", "") or None
    name = metadata.text("general.name", path.stem)
    return ModelFile(
        path, name, config, tensors, metadata, template, main_quantisation(tensors), parameters(tensors), (file.file,)
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
