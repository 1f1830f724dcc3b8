"""What each token stands for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

SPACE = "▁"  # how SentencePiece writes a space
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Kind(IntEnum):
    """What a token is for, numbered as `tokenizer.ggml.token_type` has it."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3  # never comes out of a user's text
    USER_DEFINED = 4  # found in any text before anything else is
    UNUSED = 5
    BYTE = 6


class Spelling(Enum):
    """How a vocabulary writes the bytes of a token as text."""

    BYTE_LEVEL = "byte level"  # GPT-2: every byte is one printable character
    SENTENCEPIECE = "sentencepiece"  # spaces are U+2581, lone bytes <0x0A>
    WORDPIECE = "wordpiece"  # the rest of a word begins with ##


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All tokens of a model, in order."""

    texts: Sequence[str]
    kinds: NDArray[np.int32]  # (n,) of `Kind`
    spelling: Spelling

    def of_kind(self, *kinds: Kind) -> dict[str, int]:
        """Return the tokens of some kinds by text, the first where a text is there twice. Empty texts are left out."""
        chosen = np.flatnonzero(np.isin(self.kinds, kinds)).tolist()
        return {self.texts[token]: token for token in reversed(chosen) if self.texts[token]}

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes a token stands for; a control token's are its name, one past the last token has none."""
        if token >= len(self.texts):
            return b""
        text, kind = self.texts[token], self.kinds[token].item()
        if kind in _BY_NAME:
            return text.encode()
        if self.spelling is Spelling.BYTE_LEVEL:
            return _byte_level(text)
        if self.spelling is Spelling.WORDPIECE:
            return (text[2:] if text.startswith("##") else f" {text}").encode()
        if kind == _LONE_BYTE and (match := _BYTE.fullmatch(text)):
            return bytes([int(match[1], 16)])
        return text.replace(SPACE, " ").encode()


# Enumerations compare slowly, and a grammar asks for all 262,144 tokens of a vocabulary at once.
_BY_NAME = frozenset({int(Kind.CONTROL), int(Kind.UNKNOWN), int(Kind.USER_DEFINED)})
_LONE_BYTE = int(Kind.BYTE)


def _byte_level(text: str) -> bytes:
    """Return what a byte-level text stands for; a character that stands for no byte is itself."""
    try:
        return text.translate(_CODE_OF).encode("latin-1")
    except UnicodeEncodeError:
        return b"".join(_BYTE_OF.get(character) or character.encode() for character in text)


def byte_characters() -> Mapping[int, str]:
    """Return the printable character that stands for each byte. Source: GPT-2, `bytes_to_unicode`."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


_BYTE_OF: Mapping[str, bytes] = {character: bytes([byte]) for byte, character in byte_characters().items()}
# Characters past 255 that are not in the table stay as they are, and latin-1 cannot write them. Those below that stand
# for no byte (a space, a line feed) go past 255 first, or they would be taken for bytes.
_CODE_OF: Mapping[int, int] = {
    **{code: 0x100000 + code for code in range(256)},
    **{ord(character): byte for byte, character in byte_characters().items()},
}
