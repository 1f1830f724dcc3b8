"""What a grammar allows next, as a bit for each token. The parsing is llguidance's.

A grammar is compiled once and copied for each answer. A compiled one is kept, up to `_KEPT_GRAMMARS`: applications ask
with the same few schemas again and again.
"""

import json
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import EngineError, InputError
from hekla.llm.language import Language
from hekla.protocols.text_engine import Grammar

if TYPE_CHECKING:  # imported when the first grammar comes: it is a tenth of the time to the first token
    from llguidance import LLMatcher, LLTokenizer

_KEPT_GRAMMARS = 64
_LONGEST_TEXT = 1 << 20
_OTHERWISE = "grammar.otherwise"
# A small model likes to go on with blanks for ever where JSON allows them: between two tokens of JSON, so many at most.
_JSON_BLANKS = r"[\x20\x0A]{0,20}"


class GrammarState:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: "LLMatcher", where: str = "grammar") -> None:
        self._matcher = matcher
        self._where = where

    @property
    def is_complete(self) -> bool:
        """True if nothing may follow but the end."""
        return self._matcher.is_stopped()

    @property
    def error(self) -> InputError | None:
        """Why the answer cannot go on and is not what was asked for either; None if it can or is."""
        if self._matcher.is_error():
            reason = _first_line(self._matcher.get_error())
            return InputError(f"the grammar became too hard: {reason}", where=self._where, cure="ask for a simpler one")
        if self._matcher.is_stopped() and not self._matcher.is_accepting():
            return InputError("the grammar allows nothing here", where=self._where)
        return None

    def write_mask(self, row: NDArray[np.uint32]) -> None:
        """Set the bits of the tokens allowed next, and clear the others. Errors: InputError, for this answer only."""
        self._matcher.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
        if (error := self.error) is not None:
            raise error

    def accept(self, token: int) -> bool:
        """Go past a token; False, changing nothing, for one that is not allowed."""
        return self._matcher.try_consume_tokens([token]) == 1

    def go_back(self, tokens: int) -> None:
        """Undo so many `accept`."""
        if tokens and not self._matcher.rollback(tokens):
            raise EngineError("the grammar cannot go back")


class GrammarCompiler:
    """Grammars over one vocabulary. Any thread may use it."""

    def __init__(self, language: Language, vocabulary_tokens: int) -> None:
        self._language, self._vocabulary_tokens = language, vocabulary_tokens
        self._lock = threading.Lock()
        self._tokeniser: LLTokenizer | None = None  # made at the first grammar: it takes up to a second
        self._compiled: OrderedDict[Grammar, LLMatcher] = OrderedDict()

    def start(self, grammar: Grammar) -> GrammarState:
        """Return the state of an answer that has not begun. Errors: InputError saying what is wrong with a grammar."""
        with self._lock:
            matcher = self._compiled.get(grammar)
            if matcher is None:
                matcher = self._compile(grammar)
                self._compiled[grammar] = matcher
                if len(self._compiled) > _KEPT_GRAMMARS:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(grammar)
            return GrammarState(matcher.deep_copy(), _OTHERWISE if grammar.otherwise is not None else "grammar")

    def _compile(self, grammar: Grammar) -> "LLMatcher":
        from llguidance import LLTokenizer, TokenizerWrapper

        if self._tokeniser is None:
            self._tokeniser = LLTokenizer(
                TokenizerWrapper(_Vocabulary(self._language)),
                n_vocab=self._vocabulary_tokens,
                eos_token=sorted(self._language.end_tokens),
            )
        if grammar.otherwise is None:
            return _matcher(self._tokeniser, grammar, "grammar")
        for one, where in ((replace(grammar, otherwise=None), "grammar"), (grammar.otherwise, _OTHERWISE)):
            _matcher(self._tokeniser, one, where)  # so that what is wrong with one is told of that one
        return _matcher(self._tokeniser, grammar, _OTHERWISE)


def _matcher(tokeniser: "LLTokenizer", grammar: Grammar, where: str) -> "LLMatcher":
    from llguidance import LLMatcher

    if len(grammar.text) > _LONGEST_TEXT:
        raise InputError(f"a grammar of {len(grammar.text)} characters; at most {_LONGEST_TEXT}", where=where)
    matcher = LLMatcher(tokeniser, written_out(grammar, where), log_level=0)
    if matcher.is_error():
        raise InputError(f"not a {grammar.kind} grammar: {_first_line(matcher.get_error())}", where=where)
    first = matcher.deep_copy()
    first.compute_bitmask()
    if first.is_error() or (first.is_stopped() and not first.is_accepting()):
        raise InputError(f"no text is of this {grammar.kind} grammar", where=where)
    return matcher


def written_out(grammar: Grammar, where: str = "grammar") -> str:
    """Return a grammar as llguidance reads it. Errors: InputError for JSON that is none."""
    if grammar.otherwise is None:
        return json.dumps({"grammars": [_entry(grammar, where)]})
    either = {"lark_grammar": "start: @this | @other"}
    this = {"name": "this", **_entry(grammar, where)}
    return json.dumps({"grammars": [either, this, {"name": "other", **_entry(grammar.otherwise, where)}]})


def _entry(grammar: Grammar, where: str) -> dict[str, object]:
    """Return one grammar, without its other, as llguidance's list of them has it."""
    from llguidance import LLMatcher

    if grammar.kind == "regex":
        return _only(LLMatcher.grammar_from_regex(grammar.text))
    if grammar.kind == "lark":
        return {"lark_grammar": grammar.text}
    if grammar.kind == "json_object":
        schema: object = {"type": "object"}
    else:
        try:
            schema = json.loads(grammar.text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"a {grammar.kind} grammar is JSON text, and this is not: {error}", where=where) from None
    if grammar.kind == "choice":
        if not isinstance(schema, list) or not schema or not all(isinstance(text, str) and text for text in schema):
            raise InputError("choices are a JSON list of texts, at least one, none empty", where=where)
        return {"lark_grammar": "start: " + " | ".join(json.dumps(text) for text in schema)}
    if not isinstance(schema, dict | bool):
        raise InputError(f"a schema is a JSON object, this is a {type(schema).__name__}", where=where)
    text = json.dumps(schema if isinstance(schema, dict) else {} if schema else {"enum": []})
    return _only(LLMatcher.grammar_from_json_schema(text, defaults={"whitespace_pattern": _JSON_BLANKS}))


def _only(text: str) -> dict[str, object]:
    """Return the one grammar of a list, without its name."""
    (entry,) = json.loads(text)["grammars"]
    return {key: value for key, value in entry.items() if value is not None and key != "name"}


class _Vocabulary:
    """What llguidance wants to know of a tokeniser."""

    bos_token_id = None

    def __init__(self, language: Language) -> None:
        self._language = language
        self.tokens = [language.token_bytes(token) for token in range(language.vocabulary_tokens)]
        self.special_token_ids = sorted(language.special_tokens)
        self.eos_token_id = min(language.end_tokens)

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError("text only")  # so llguidance is told, which then sees to halves of characters itself
        return list(self._language.encode(text))


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0][:300]
