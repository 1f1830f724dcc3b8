"""From text to words: Unicode letters and digits, lower case, stemmed where the field has a language."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import snowballstemmer  # type: ignore[import-untyped]  # it has no annotations

from hekla.base.errors import ConfigError, nearest_name
from hekla.vector.schema import TextOptions

MAX_WORD_CHARACTERS = 64  # longer ones are cut: no query finds them by their end
_WORD = re.compile(r"\w+")
Words = Callable[[str], list[str]]


def words_by(options: TextOptions, where: str = "$.fields") -> Words:
    """Return the function that splits a text. Errors: ConfigError for a language without a stemmer."""
    if options.language and options.language not in snowballstemmer.algorithms():
        raise ConfigError(
            f"no stemmer for {options.language!r}",
            where=where,
            cure=nearest_name(options.language, snowballstemmer.algorithms()),
        )
    return _splitter(options)


@lru_cache(maxsize=64)
def _splitter(options: TextOptions) -> Words:
    stem = snowballstemmer.stemmer(options.language).stemWord if options.language else None
    stems: dict[str, str] = {}

    def split(text: str) -> list[str]:
        folded = unicodedata.normalize("NFKC", text)
        if options.is_lowercase:
            folded = folded.lower()
        words = [word[:MAX_WORD_CHARACTERS] for word in _WORD.findall(folded)]
        if stem is None:
            return words
        if len(stems) > 100_000:
            stems.clear()
        return [stems.get(word) or stems.setdefault(word, stem(word)) for word in words]

    return split
