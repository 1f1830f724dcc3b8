"""Byte-level pairs (GPT-2's), through the `tokenizers` library."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.tokenise.pre_tokenisers import PATTERNS, WHOLE_WORDS
from hekla.llm.tokenise.vocabulary import Kind, Vocabulary


class LibraryEncoder:
    """A tokeniser of the `tokenizers` library without any added token, so that it finds none in a text.

    later: encodes what is not the first text, where the first one is treated in another way.
    """

    def __init__(self, tokenizer: Tokenizer, later: Tokenizer | None = None) -> None:
        self._tokenizer, self._later = tokenizer, later or tokenizer

    def encode(self, text: str, *, is_first: bool) -> Sequence[int]:
        """Return the ids of a text."""
        chosen = self._tokenizer if is_first else self._later
        ids: list[int] = chosen.encode(text, add_special_tokens=False).ids
        return ids


def byte_level_tokenizer(vocabulary: Vocabulary, merges: Sequence[str], pre: str, where: str) -> Tokenizer:
    """Return the library's tokeniser of a GGUF's "gpt2" vocabulary, without its control tokens.

    Errors: UnsupportedError naming a pre-tokeniser that is not known; ModelFileError for merges of what is no token.
    """
    if pre not in PATTERNS:
        raise UnsupportedError(
            f"the pre-tokeniser {quoted(pre)}",
            where=f"{where}: tokenizer.ggml.pre",
            cure=f"known: {', '.join(sorted(PATTERNS))}",
        )
    hidden = set(np.flatnonzero(np.isin(vocabulary.kinds, (Kind.CONTROL, Kind.UNKNOWN))).tolist())
    backwards = zip(range(len(vocabulary.texts) - 1, -1, -1), reversed(vocabulary.texts), strict=True)
    tokens = {text: token for token, text in backwards if token not in hidden}
    pairs = [_pair(merge, where) for merge in merges]
    try:
        model = models.BPE(tokens, pairs, ignore_merges=pre in WHOLE_WORDS)
    except Exception as error:  # noqa: BLE001  the library raises Exception itself for a merge out of vocabulary
        raise ModelFileError(f"the merges do not fit the vocabulary: {error}", where=where) from None
    tokenizer = Tokenizer(model)
    split = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in PATTERNS[pre]]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, byte_level])
    return tokenizer


def _pair(merge: str, where: str) -> tuple[str, str]:
    left, space, right = merge.partition(" ")
    if not space or not left or not right:
        raise ModelFileError(
            f"expected two pieces with a space between, found {quoted(merge)}", where=f"{where}: tokenizer.ggml.merges"
        )
    return left, right
