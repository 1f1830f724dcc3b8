"""Which tokens end an answer, and which one a prompt begins with, as a model's file says it."""

import numpy as np

from hekla.llm.metadata import Metadata

CONTROL = 3  # in `tokenizer.ggml.token_type`
# Texts of control tokens that end a turn, whichever the file calls its end of sequence. Source: llama.cpp, llama-vocab.
END_TEXTS = frozenset(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "<|end_of_text|>"}
)
# Pre-tokenisers of byte-level vocabularies whose models begin with a token although the file does not say so.
_BEGIN_BY_DEFAULT = frozenset({"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "tekken"})


def gguf_end_tokens(metadata: Metadata) -> frozenset[int]:
    """Return the tokens that end an answer. Errors: ModelFileError."""
    own = metadata.under("tokenizer.ggml.")
    named = ("eos_token_id", "eot_token_id", "eom_token_id")
    found = {own.integer(key, least=0) for key in named if own.get(key) is not None}
    texts, kinds = own.texts("tokens"), own.numbers("token_type", np.int32)
    if texts is not None and kinds is not None:
        control = np.flatnonzero(kinds[: len(texts)] == CONTROL)
        found |= {int(token) for token in control if texts[int(token)] in END_TEXTS}
    return frozenset(found)


def gguf_begin_token(metadata: Metadata) -> int | None:
    """Return the token that prompts begin with; None where the model wants none. Errors: ModelFileError."""
    own = metadata.under("tokenizer.ggml.")
    model = own.text("model", "")
    by_default = model in ("llama", "bert") or (model == "gpt2" and own.text("pre", "") in _BEGIN_BY_DEFAULT)
    if not own.flag("add_bos_token", by_default) or own.get("bos_token_id") is None:
        return None
    return own.integer("bos_token_id", least=0)


def huggingface_end_tokens(config: Metadata) -> frozenset[int]:
    """Return `eos_token_id`, which is a number or a list of them. Errors: ModelFileError."""
    found = config.get("eos_token_id")
    if found is None:
        return frozenset()
    rows = found if isinstance(found, list) else [found]
    return frozenset(Metadata({"eos_token_id": row}, config.where).integer("eos_token_id", least=0) for row in rows)
