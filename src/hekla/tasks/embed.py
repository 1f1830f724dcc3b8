"""Text to token ids before a sentence encoder, and what a client sees after it."""

import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, InputError, ModelFileError, ShapeError, TooLargeError
from hekla.protocols.stage import StageSource, Values
from hekla.protocols.tensor import ANY, Array, TensorSpec
from hekla.tasks.options import read_options, require

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_TOKENIZER, _LIMITS = "tokenizer.json", "sentence_bert_config.json"


@dataclass(frozen=True, slots=True)
class TokenizeOptions:
    """The options of `embed.tokenize`."""

    on_too_long: str = "error"  # or "truncate": keep the first `max_tokens` and say so in `truncated`
    max_tokens: int = 0  # the special ones included; 0: what the model's sentence_bert_config.json says

    def __post_init__(self) -> None:
        if self.on_too_long not in ("error", "truncate"):
            raise ConfigError(f"got {self.on_too_long!r}", where="on_too_long", cure='write "error" or "truncate"')
        require("max_tokens", self.max_tokens, at_least=0, at_most=1_000_000)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The options of `embed.outputs`."""

    dimensions: int = ANY  # of a vector, for the model's metadata; -1: not said

    def __post_init__(self) -> None:
        require("dimensions", self.dimensions, at_least=ANY)


class Tokenize:
    """Stage `embed.tokenize`: texts to ids, padded to the longest text of the request.

    text BYTES (n,) UTF-8 -> input_ids, attention_mask INT64 (n, length); carried: tokens INT64 (n,), what each text
    cost after any cut, and truncated BOOL (n,).
    Errors: InputError naming the text that is no UTF-8; TooLargeError for one that is too long.
    """

    outputs: tuple[TensorSpec, ...] = ()
    inputs = (TensorSpec("text", DType.BYTES, (ANY,), batch_axis=0),)

    def __init__(self, tokenizer: "Tokenizer", cutting: "Tokenizer | None", max_tokens: int) -> None:
        self._tokenizer, self._cutting, self._max_tokens = tokenizer, cutting, max_tokens

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        texts = _texts(values["text"])
        encodings: list[Encoding] = self._tokenizer.encode_batch_fast(texts)
        truncated = np.zeros(len(texts), np.bool_)
        for at, encoding in enumerate(encodings):
            if len(encoding) > self._max_tokens:
                encodings[at] = self._cut(at, texts[at], len(encoding))
                truncated[at] = True
        tokens = np.array([len(encoding) for encoding in encodings], np.int64)  # (n,)
        input_ids = np.zeros((len(texts), tokens.max()), np.int64)  # (n, length); 0 is [PAD]
        for row, encoding in zip(input_ids, encodings, strict=True):
            row[: len(encoding)] = encoding.ids
        attention_mask = (np.arange(input_ids.shape[1]) < tokens[:, None]).astype(np.int64)
        rest = {name: value for name, value in values.items() if name != "text"}
        return rest | {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "tokens": tokens,
            "truncated": truncated,
        }

    def _cut(self, at: int, text: str, tokens: int) -> "Encoding":
        """Encode a text anew, cut between its special tokens."""
        if self._cutting is None:
            raise TooLargeError(
                f"text[{at}]",
                limit=f"{self._max_tokens} tokens",
                got=f"{tokens}",
                cure='send it in parts, or serve the model with on_too_long = "truncate"',
            )
        return self._cutting.encode(text)


class Outputs:
    """Stage `embed.outputs`: the vectors, what they cost, and which texts were cut."""

    inputs: tuple[TensorSpec, ...] = ()

    def __init__(self, dimensions: int = ANY) -> None:
        self.outputs = (
            TensorSpec("embedding", DType.FP32, (ANY, dimensions), batch_axis=0),
            TensorSpec("tokens", DType.INT64, (ANY,), batch_axis=0),
            TensorSpec("truncated", DType.BOOL, (ANY,), batch_axis=0),
        )

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        return {name: values[name] for name in ("embedding", "tokens", "truncated")}


def tokenize(source: StageSource) -> Tokenize:
    """Make stage `embed.tokenize` from the version folder's tokenizer.json.

    Errors: ConfigError for a wrong option, or no token limit anywhere; ModelFileError for a tokenizer that is missing
    or damaged.
    """
    options = read_options(TokenizeOptions, source)
    max_tokens = options.max_tokens or _stated_limit(source)
    tokenizer = _load(source.folder / _TOKENIZER)
    if max_tokens <= (special := tokenizer.num_special_tokens_to_add(False)):
        raise ConfigError(f"leaves no room: {special} tokens are special", where=f"{source.where}.max_tokens")
    cutting = None
    if options.on_too_long == "truncate":
        cutting = _load(source.folder / _TOKENIZER)
        cutting.enable_truncation(max_tokens)
    return Tokenize(tokenizer, cutting, max_tokens)


def outputs(source: StageSource) -> Outputs:
    """Make stage `embed.outputs`. Errors: ConfigError for a wrong option."""
    return Outputs(read_options(OutputOptions, source).dimensions)


def _stated_limit(source: StageSource) -> int:
    path = source.folder / _LIMITS
    try:
        limit = json.loads(path.read_bytes())["max_seq_length"]
    except FileNotFoundError:
        raise ConfigError(
            f"is not set, and there is no {_LIMITS}", where=f"{source.where}.max_tokens", cure="write max_tokens"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"says no max_seq_length ({error!r})", where=str(path), cure="or write max_tokens"
        ) from None
    if type(limit) is not int or limit < 1:
        raise ModelFileError(f"expected a whole number above 0, got {limit!r}", where=f"{path}: max_seq_length")
    return limit


def _load(path: Path) -> "Tokenizer":
    from tokenizers import Tokenizer  # 60 ms: only where a model needs it

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001  # the library raises plain Exception for every damaged file
        raise ModelFileError(f"is no tokenizer ({error})", where=str(path), cure="pull the model again") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _texts(array: Array) -> list[str]:
    if array.ndim != 1 or not len(array):
        raise ShapeError("text", expected="(n,) with n at least 1", got=array.shape)
    return [_text(at, element) for at, element in enumerate(array.tolist())]


def _text(at: int, element: bytes | str) -> str:
    if isinstance(element, str):
        return element
    try:
        return element.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (byte {error.start})", where=f"text[{at}]", cure="encode text as UTF-8") from None
