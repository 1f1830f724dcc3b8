"""`make_tokeniser`: from what a model's file says of its tokens."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.metadata import Metadata
from hekla.llm.tokenise.byte_level import LibraryEncoder, byte_level_tokenizer
from hekla.llm.tokenise.huggingface import huggingface_tokeniser
from hekla.llm.tokenise.sentencepiece import SentencePieceEncoder
from hekla.llm.tokenise.tokeniser import PlainEncoder, Tokeniser
from hekla.llm.tokenise.vocabulary import SPACE, Kind, Spelling, Vocabulary
from hekla.llm.tokens_at_the_ends import gguf_begin_token

_SPELLINGS = {"gpt2": Spelling.BYTE_LEVEL, "llama": Spelling.SENTENCEPIECE, "bert": Spelling.WORDPIECE}


def make_tokeniser(metadata: Metadata, folder: Path, vocabulary_tokens: int) -> Tokeniser:
    """Return the tokeniser of a model: of its GGUF's metadata, else of the tokenizer.json in its folder.

    Errors: UnsupportedError naming a kind that is not read; ModelFileError for tables that do not fit each other.
    """
    if metadata.get("tokenizer.ggml.model") is None:
        return huggingface_tokeniser(folder, vocabulary_tokens)
    own = metadata.under("tokenizer.ggml.")
    model = own.text("model")
    if model not in _SPELLINGS:
        raise UnsupportedError(
            f"the tokeniser {quoted(model)}",
            where=f"{own.where}: tokenizer.ggml.model",
            cure=f"known: {', '.join(sorted(_SPELLINGS))}",
        )
    vocabulary = gguf_vocabulary(own)
    if len(vocabulary.texts) > vocabulary_tokens:
        raise ModelFileError(
            f"expected at most {vocabulary_tokens} tokens, the rows of the embedding, found {len(vocabulary.texts)}",
            where=own.where,
        )
    begin, end = gguf_begin_token(metadata), None
    adds_space = model == "llama" and own.flag("add_space_prefix", True)
    plain: PlainEncoder
    if model == "gpt2":
        plain = LibraryEncoder(byte_level_library(own, vocabulary))
    elif model == "llama":
        plain = SentencePieceEncoder(vocabulary, _scores(own, len(vocabulary.texts)), adds_space=adds_space)
    else:
        begin = own.integer("cls_token_id", begin, least=0)
        end = own.integer("seperator_token_id", own.integer("separator_token_id", 102), least=0)  # ggml's spelling
        plain = LibraryEncoder(_word_pieces(vocabulary))
    for key, token in (("bos_token_id", begin), ("seperator_token_id", end)):
        if token is not None and token >= len(vocabulary.texts):
            raise own.wrong(key, f"a token below {len(vocabulary.texts)}", token)
    return Tokeniser(
        vocabulary,
        plain,
        vocabulary_tokens=vocabulary_tokens,
        begin_token=begin,
        end_token=end,
        strips_first_space=adds_space,
    )


def byte_level_library(own: Metadata, vocabulary: Vocabulary) -> Tokenizer:
    """Return the library's tokeniser of a byte-level vocabulary. Errors: as `make_tokeniser`."""
    merges = own.texts("merges")
    if merges is None:
        raise own.wrong("merges", "an array of texts", None)
    return byte_level_tokenizer(vocabulary, merges, own.text("pre", "default"), own.where)


def gguf_vocabulary(own: Metadata) -> Vocabulary:
    """Return all tokens of a GGUF. Errors: ModelFileError for tables that do not fit."""
    spelling = _SPELLINGS[own.text("model")]
    stored = own.texts("tokens")
    if stored is None:
        raise own.wrong("tokens", "an array of texts", None)
    texts = list(stored)
    kinds = own.numbers("token_type", np.int32)
    if kinds is None:
        kinds = np.full(len(texts), Kind.NORMAL, np.int32)
    if len(kinds) != len(texts):
        raise own.wrong("token_type", f"{len(texts)} values", f"{len(kinds)} values")
    if spelling is Spelling.WORDPIECE:  # ggml marks the beginnings of words, the model's own list the rests
        texts = [_word_piece(text, kind) for text, kind in zip(texts, kinds.tolist(), strict=True)]
    return Vocabulary(texts, kinds, spelling)


def _word_piece(text: str, kind: int) -> str:
    if kind != Kind.NORMAL:
        return text
    return text.removeprefix(SPACE) if text.startswith(SPACE) else f"##{text}"


def _scores(own: Metadata, tokens: int) -> NDArray[np.float32]:
    scores = own.numbers("scores", np.float32)
    if scores is None or len(scores) != tokens or not np.isfinite(scores).all():
        raise own.wrong("scores", f"{tokens} finite numbers", None if scores is None else f"{len(scores)} numbers")
    return scores


def _word_pieces(vocabulary: Vocabulary) -> Tokenizer:
    tokens = {text: token for token, text in reversed(list(enumerate(vocabulary.texts)))}
    tokenizer = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
