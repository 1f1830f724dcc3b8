"""Keeps what users write from becoming control tokens in what a template writes around it.

A template is text, and what it makes of a message is text again: nothing tells its own `<|im_end|>` from one that a
user typed. So before rendering, a character that occurs in no message is put into each control token's name found in
what users wrote, after its first character: `<|im_end|>` becomes `<X|im_end|>`. The template still sees the text it
tests for (`startswith`, `in`, `trim`), the tokeniser no longer sees the name, and the character is dropped when the
text around it was encoded as plain text. The beginning of a name at the end of a text is broken as well, so that two
texts side by side cannot make one. What is left: a template that writes the first half of a name itself and lets a
message finish it.
"""

from collections.abc import Iterator, Mapping, Sequence

from hekla.llm.tokenise.literal_tokens import LiteralTokens

# Noncharacters, which no text should contain; after them the last private plane, for texts that do.
_CANDIDATES = (*range(0xFDD0, 0xFDF0), *range(0x10F000, 0x10FFFE))


def breaker_for(values: object, template: str) -> str:
    """Return a character that occurs neither in a template nor in any text of some values."""
    used = set(template).union(*(set(text) for text in _texts(values)))
    return next(chr(code) for code in _CANDIDATES if chr(code) not in used)


def broken(values: object, control: LiteralTokens, breaker: str) -> object:
    """Return values with every control token's name in their texts broken; keys of tables too."""
    if isinstance(values, str):
        return _broken_text(values, control, breaker)
    if isinstance(values, Mapping):
        return {broken(key, control, breaker): broken(value, control, breaker) for key, value in values.items()}
    if isinstance(values, Sequence):
        return [broken(value, control, breaker) for value in values]
    return values


def _broken_text(text: str, control: LiteralTokens, breaker: str) -> str:
    cuts = {at + 1 for at, _ in control.places(text)}
    cuts |= {len(text) - length + 1 for length in control.tails(text)}
    parts, done = [], 0
    for cut in sorted(cuts):
        parts.append(text[done:cut])
        done = cut
    return breaker.join([*parts, text[done:]])


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(values, Sequence):
        for value in values:
            yield from _texts(value)
