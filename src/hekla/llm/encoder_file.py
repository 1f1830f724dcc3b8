"""`open_encoder`: a BERT encoder's folder, mapped."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hekla.base.errors import UnsupportedError, quoted
from hekla.llm.checks import TensorError, check_tensor
from hekla.llm.families.bert import BertConfig, bert_config, bert_name, bert_tensors
from hekla.llm.huggingface import read_shards, stored_plain
from hekla.llm.json_file import read_json
from hekla.llm.metadata import Metadata
from hekla.llm.tensors import StoredTensor
from hekla.runtime import MappedFile


@dataclass(frozen=True, slots=True)
class EncoderFile:
    """An encoder, mapped. Its tokeniser: `huggingface_tokeniser(folder, config.vocabulary_tokens)`."""

    folder: Path
    name: str
    config: BertConfig
    tensors: Mapping[str, StoredTensor]
    files: tuple[MappedFile, ...]


def open_encoder(folder: Path) -> EncoderFile:
    """Map a folder with config.json, safetensors and tokenizer.json of a BERT encoder, and check it.

    Errors: NotFoundError, ModelFileError, UnsupportedError naming a model type that is no BERT; TensorError.
    """
    table = Metadata(read_json(folder / "config.json"), str(folder / "config.json"))
    kind = table.text("model_type")
    if kind != "bert":
        raise UnsupportedError(f"the model type {quoted(kind)}", where=table.where, cure="known: bert")
    sentence = _optional(folder / "sentence_bert_config.json")
    pooling = _optional(folder / "1_Pooling" / "config.json").values
    context = sentence.integer("max_seq_length") if sentence.get("max_seq_length") is not None else None
    config = bert_config(table, context_tokens=context, pooling=pooling)
    files, raw = read_shards(folder)
    tensors: dict[str, StoredTensor] = {}
    for theirs, tensor in raw.items():
        name = bert_name(theirs)
        if name is not None:
            tensors[name] = stored_plain(name, tensor, table.where)
    for name, expected in bert_tensors(config).items():
        if name not in tensors:
            raise TensorError(name, expected=f"one of shape {list(expected.shape)}", found="none", where=str(folder))
        check_tensor(tensors[name], expected, str(folder))
    wanted = {name: tensors[name] for name in bert_tensors(config)}
    return EncoderFile(folder, folder.name, config, wanted, files)


def _optional(path: Path) -> Metadata:
    return Metadata(read_json(path) if path.is_file() else {}, str(path))
