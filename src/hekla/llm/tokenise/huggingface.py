"""tokenizer.json, the format of the `tokenizers` library, with its added tokens taken out: `LiteralTokens` finds those.

The library finds special tokens in any text it is given; a user's text must not become one.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from hekla.base.errors import ModelFileError, UnsupportedError, quoted
from hekla.llm.json_file import read_json
from hekla.llm.tokenise.byte_level import LibraryEncoder
from hekla.llm.tokenise.tokeniser import Tokeniser
from hekla.llm.tokenise.vocabulary import Kind, Spelling, Vocabulary

Json = dict[str, Any]  # Any: JSON; what is wrong raises KeyError, TypeError, ..., which become ModelFileError


def huggingface_tokeniser(folder: Path, vocabulary_tokens: int) -> Tokeniser:
    """Return the tokeniser of a folder with a tokenizer.json.

    Errors: UnsupportedError without one, or for a decoder that is not known; ModelFileError for a damaged one.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UnsupportedError("no tokenizer.json", where=str(folder), cure="save the tokeniser with `transformers`")
    table = read_json(path)
    try:
        return _tokeniser(table, vocabulary_tokens, str(path))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelFileError(f"no tokenizer.json that can be read ({error!r})", where=str(path)) from None


def _tokeniser(table: Json, vocabulary_tokens: int, where: str) -> Tokeniser:
    spelling, byte_fallback = _spelling(table, where), bool(table["model"].get("byte_fallback"))
    vocabulary = _vocabulary(table, spelling, byte_fallback, where)
    if len(vocabulary.texts) > vocabulary_tokens:
        raise ModelFileError(
            f"expected at most {vocabulary_tokens} tokens, the rows of the embedding, found {len(vocabulary.texts)}",
            where=where,
        )
    control = vocabulary.of_kind(Kind.CONTROL)
    begin, end = _ends(table, control)
    return Tokeniser(
        vocabulary,
        LibraryEncoder(*_encoders(table, control, where)),
        vocabulary_tokens=vocabulary_tokens,
        begin_token=begin,
        end_token=end,
        strips_first_space=any(part["type"] == "Strip" and part.get("start") for part in _parts(table, "decoder")),
    )


def _parts(table: Json, key: str) -> Iterator[Json]:
    """Yield a normaliser, decoder or the like, and those it is made of."""
    part = table.get(key)
    if part is None:
        return
    yield part
    for name in ("normalizers", "pretokenizers", "processors", "decoders"):
        for inner in part.get(name, ()):
            yield from _parts({key: inner}, key)


def _spelling(table: Json, where: str) -> Spelling:
    kinds = {str(part["type"]) for part in _parts(table, "decoder")}
    if "ByteLevel" in kinds:
        return Spelling.BYTE_LEVEL
    if "WordPiece" in kinds:
        return Spelling.WORDPIECE
    if kinds & {"ByteFallback", "Metaspace"}:
        return Spelling.SENTENCEPIECE
    raise UnsupportedError(
        f"a decoder of {quoted(sorted(kinds))}",
        where=where,
        cure="known: ByteLevel, WordPiece, ByteFallback, Metaspace",
    )


def _vocabulary(table: Json, spelling: Spelling, byte_fallback: bool, where: str) -> Vocabulary:
    model = table["model"]
    stored = model["vocab"]
    pieces = dict(stored) if isinstance(stored, dict) else {row[0]: at for at, row in enumerate(stored)}
    added = {int(row["id"]): row for row in table.get("added_tokens", ())}
    tokens = 1 + max([*pieces.values(), *added], default=-1)
    if tokens > 2 * (len(pieces) + len(added)) or min([*pieces.values(), *added], default=0) < 0:
        raise ModelFileError(f"expected ids without wide gaps, found one of {tokens - 1}", where=where)
    texts, kinds = [""] * tokens, np.full(tokens, Kind.UNUSED, np.int32)
    for text, token in pieces.items():
        texts[token], kinds[token] = text, Kind.NORMAL
        if byte_fallback and len(text) == 6 and text.startswith("<0x"):
            kinds[token] = Kind.BYTE
    for token, row in added.items():
        texts[token], kinds[token] = row["content"], Kind.CONTROL if row.get("special") else Kind.USER_DEFINED
    return Vocabulary(texts, kinds, spelling)


def _encoders(table: Json, control: dict[str, int], where: str) -> tuple[Tokenizer, Tokenizer | None]:
    """Return what encodes plain text, and what encodes it after other text where that is not the same."""
    model = dict(table["model"])
    unknown = model.get("unk_token")
    if isinstance(model["vocab"], dict):
        model["vocab"] = {
            text: token for text, token in model["vocab"].items() if text == unknown or text not in control
        }
        if model["type"] == "BPE":
            model["merges"] = [row for row in model["merges"] if _merged(row) not in control]
    else:  # ids are places in the list: nothing can be left out, so what nobody can write stands there
        nonce = secrets.token_hex(16)
        model["vocab"] = [
            [f"\U0010ffff{nonce}{at}" if row[0] in control and at != model.get("unk_id") else row[0], row[1]]
            for at, row in enumerate(model["vocab"])
        ]
    bare = {**table, "model": model, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    later = json.loads(json.dumps(bare))
    differs = False
    for part in _parts(later, "pre_tokenizer"):
        if part["type"] == "Metaspace" and part.get("prepend_scheme") == "first":
            part["prepend_scheme"], differs = "never", True
    return _loaded(bare, where), _loaded(later, where) if differs else None


def _merged(row: str | list[str]) -> str:
    return row.replace(" ", "") if isinstance(row, str) else "".join(row)


def _loaded(table: Json, where: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(table))
    except Exception as error:  # noqa: BLE001  the library raises Exception itself
        raise ModelFileError(f"no tokenizer.json that can be read ({error})", where=where) from None


def _ends(table: Json, control: dict[str, int]) -> tuple[int | None, int | None]:
    """Return the tokens that the post-processor puts before and after one text."""
    for part in _parts(table, "post_processor"):
        if part["type"] in ("BertProcessing", "RobertaProcessing"):
            return int(part["cls"][1]), int(part["sep"][1])
        if part["type"] == "TemplateProcessing":
            before: list[str] = []
            after: list[str] = []
            side = before
            for row in part["single"]:
                if "Sequence" in row:
                    side = after
                else:
                    side.append(row["SpecialToken"]["id"])
            return _only(before, control), _only(after, control)
    return None, None


def _only(texts: list[str], control: dict[str, int]) -> int | None:
    return control.get(texts[0]) if texts else None
