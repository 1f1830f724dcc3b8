"""A GGUF's byte-level tokeniser as a tokenizer.json."""

import json

from hekla.base.errors import UnsupportedError
from hekla.llm.metadata import Metadata
from hekla.llm.tokenise.sources import byte_level_library, gguf_vocabulary
from hekla.llm.tokenise.vocabulary import Kind


def tokenizer_json(metadata: Metadata) -> str:
    """Return the tokenizer.json of a GGUF's byte-level vocabulary.

    Errors: UnsupportedError for another kind; ModelFileError for tables that do not fit.
    """
    own = metadata.under("tokenizer.ggml.")
    if own.text("model") != "gpt2":
        raise UnsupportedError("a tokenizer.json is written of byte-level vocabularies only", where=own.where)
    vocabulary = gguf_vocabulary(own)
    table = json.loads(byte_level_library(own, vocabulary).to_str())
    table["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    table["added_tokens"] = [
        {
            "id": token,
            "content": vocabulary.texts[token],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind != Kind.USER_DEFINED,
        }
        for token, kind in enumerate(vocabulary.kinds.tolist())
        if kind in (Kind.CONTROL, Kind.UNKNOWN, Kind.USER_DEFINED)
    ]
    # The library numbers added tokens anew unless the model knows them.
    table["model"]["vocab"] |= {row["content"]: row["id"] for row in table["added_tokens"]}
    return json.dumps(table, ensure_ascii=False)
