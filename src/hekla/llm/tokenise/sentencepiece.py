"""SentencePiece by scores, as GGUF's "llama" vocabularies have it: neighbours merge, the best-scored piece first.

The file has no list of merges, which is what the `tokenizers` library wants, and making one out of 262,144 scores takes
seconds. Merging by score needs only the table of pieces. Source: Kudo and Richardson, arXiv:1808.06226; llama.cpp,
`llm_tokenizer_spm_session`, whose ties (the leftmost pair goes first) are kept.
"""

import heapq
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.llm.tokenise.vocabulary import SPACE, Kind, Vocabulary

_MOST_EXCEPTIONS = 64
_CACHED_WORDS = 1 << 16


class SentencePieceEncoder:
    """Encodes by merging. Words are remembered: a text repeats most of its own.

    vocabulary, scores: as the file has them. adds_space: a text begins with a space it did not have.
    """

    def __init__(self, vocabulary: Vocabulary, scores: NDArray[np.float32], *, adds_space: bool) -> None:
        texts = vocabulary.texts
        # A text that is there twice keeps its first token, as a lookup from the front would.
        self._token = dict(zip(reversed(texts), range(len(texts) - 1, -1, -1), strict=True))
        for token in np.flatnonzero(np.isin(vocabulary.kinds, (Kind.CONTROL, Kind.UNKNOWN, Kind.BYTE))).tolist():
            if self._token.get(texts[token]) == token:
                del self._token[texts[token]]
        self._score = scores.tolist()
        bytes_by_text = vocabulary.of_kind(Kind.BYTE)
        self._bytes = [bytes_by_text.get(f"<0x{byte:02X}>") for byte in range(256)]
        self._unknown = next(iter(vocabulary.of_kind(Kind.UNKNOWN).values()), 0)
        self._adds_space = adds_space
        self._word = _word_pattern(self._token)
        self._cache: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str, *, is_first: bool) -> Sequence[int]:
        """Return the ids of a text."""
        text = text.replace(" ", SPACE)
        if self._adds_space and is_first:
            text = SPACE + text
        tokens: list[int] = []
        for word in self._word.findall(text) if self._word is not None else [text]:
            known = self._cache.get(word)
            if known is None:
                known = tuple(self._merged(word))
                if len(self._cache) >= _CACHED_WORDS:
                    self._cache.clear()
                if len(word) < 64:
                    self._cache[word] = known
            tokens += known
        return tokens

    def _merged(self, word: str) -> Iterator[int]:
        if word in self._token and len(word) == 1:
            yield self._token[word]
            return
        pieces: list[str] = list(word)
        following, before = list(range(1, len(pieces) + 1)), list(range(-1, len(pieces) - 1))
        agenda: list[tuple[float, int, str]] = []

        def propose(left: int, right: int) -> None:
            merged = pieces[left] + pieces[right]
            token = self._token.get(merged)
            if token is not None:
                heapq.heappush(agenda, (-self._score[token], left, merged))

        for left in range(len(pieces) - 1):
            propose(left, left + 1)
        while agenda:
            _, left, merged = heapq.heappop(agenda)
            right = following[left]
            if not pieces[left] or right == len(pieces) or pieces[left] + pieces[right] != merged:
                continue  # one of the two was merged with another meanwhile
            pieces[left], pieces[right] = merged, ""
            following[left] = following[right]
            if following[left] < len(pieces):
                before[following[left]] = left
                propose(left, following[left])
            if before[left] >= 0:
                propose(before[left], left)
        for piece in pieces:
            if piece:
                yield from self._tokens_of(piece)

    def _tokens_of(self, piece: str) -> Iterator[int]:
        token = self._token.get(piece)
        if token is not None:
            yield token
            return
        for byte in piece.encode():
            spelled = self._bytes[byte]
            yield self._unknown if spelled is None else spelled


def _word_pattern(tokens: dict[str, int]) -> re.Pattern[str] | None:
    """Return what splits a text where no piece can reach across; None where pieces reach across all over.

    A space begins a word, unless a piece holds a space after the character before it.
    """
    across = set(re.findall(f"([^{SPACE}\0]){SPACE}", "\0".join(tokens)))
    if len(across) > _MOST_EXCEPTIONS:
        return None
    glue = "".join(re.escape(character) for character in sorted(across))
    inside = f"[^{SPACE}]" if not glue else f"(?:[{glue}]{SPACE}|[^{SPACE}])"
    return re.compile(f"{SPACE}*{inside}+|{SPACE}+", re.DOTALL)
