"""The tokens: 256 bytes and six that no text can spell.

0 to 255        the byte
256 to 261      <|start|> <|end|> <|system|> <|user|> <|assistant|> <|tool|>
"""

import re
from collections.abc import Sequence

from hekla.base.errors import InputError

CONTROLS = ("<|start|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
START, END, SYSTEM, USER, ASSISTANT, TOOL = range(256, 262)
SIZE = 262

_CONTROL = re.compile("|".join(map(re.escape, CONTROLS)))


def encode(text: str, *, is_special: bool) -> tuple[int, ...]:
    """Return the tokens of a text; with `is_special`, control tokens written in it and the one a prompt starts with."""
    if not is_special:
        return tuple(text.encode(errors="replace"))
    tokens, start = [START], 0
    for found in _CONTROL.finditer(text):
        tokens += text[start : found.start()].encode(errors="replace")
        tokens.append(256 + CONTROLS.index(found[0]))
        start = found.end()
    tokens += text[start:].encode(errors="replace")
    return tuple(tokens[1:] if tokens[1:2] == [START] else tokens)


def token_bytes(token: int) -> bytes:
    """Return what a token stands for. Errors: InputError for one out of range."""
    if not 0 <= token < SIZE:
        raise InputError(f"token {token} is not between 0 and {SIZE - 1}")
    return bytes((token,)) if token < 256 else CONTROLS[token - 256].encode()


def decode(tokens: Sequence[int]) -> str:
    """Return the text of tokens, control tokens by name. Errors: as `token_bytes`."""
    return b"".join(map(token_bytes, tokens)).decode(errors="replace")
