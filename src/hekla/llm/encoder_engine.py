"""Sentences to vectors by the compiled encoder: `[engine] kind = "encoder"`.

precision = "quantised"   # activations and weights in 8 bits; or "exact": f32
max_tokens = 256          # of a text, the special ones included; what the model's folder says where it is not given
on_too_long = "error"     # or "truncate": keep the first `max_tokens` and say so in `truncated`
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from hekla.base.dtypes import DType
from hekla.base.errors import (
    CancelledError,
    ConfigError,
    InputError,
    ModelFileError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
    nearest_name,
    quoted,
)
from hekla.llm.compiled.encoder import CompiledEncoder
from hekla.llm.encoder_file import open_encoder
from hekla.llm.runner import I32
from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import ANY, Array, Tensors, TensorSpec

_CHOICES = {"precision": ("quantised", "exact"), "on_too_long": ("error", "truncate")}
_KNOWN = (*_CHOICES, "max_tokens")
_STEP_TOKENS = 1024  # of one native call, between which a run can be stopped


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """What is documented above; None: what the model's folder says."""

    precision: Literal["quantised", "exact"] = "quantised"
    max_tokens: int | None = None
    on_too_long: Literal["error", "truncate"] = "error"


class EncoderTokeniser:
    """Texts to tokens, as the folder's tokenizer.json has it, cut only where that is asked for."""

    def __init__(self, path: Path, *, vocabulary_tokens: int, max_tokens: int, cuts: bool) -> None:
        self._whole, self._max_tokens = _loaded(path), max_tokens
        if (size := self._whole.get_vocab_size()) > vocabulary_tokens:
            raise ModelFileError(
                f"expected at most {vocabulary_tokens} tokens, the rows of the embedding, found {size}", where=str(path)
            )
        self.special_tokens = self._whole.num_special_tokens_to_add(False)
        self._cutting: Tokenizer | None = None
        if cuts and max_tokens > self.special_tokens:
            self._cutting = _loaded(path)
            self._cutting.enable_truncation(max_tokens)

    def tokens_of(self, texts: Array) -> tuple[list[I32], Array]:
        """Return the tokens of each text, and which texts were cut (n,) bool.

        Errors: InputError for a text that is no UTF-8, or of no tokens; TooLargeError for one that is too long.
        """
        read = [_text(at, element) for at, element in enumerate(texts.tolist())]
        encodings: list[Encoding] = self._whole.encode_batch_fast(read)
        is_cut = np.zeros(len(read), np.bool_)
        for at, encoding in enumerate(encodings):
            if not len(encoding):
                raise InputError("a text of no tokens", where=f"text[{at}]", cure="send a text that is not empty")
            if len(encoding) > self._max_tokens:
                encodings[at] = self._cut(at, read[at], len(encoding))
                is_cut[at] = True
        return [np.array(encoding.ids, np.int32) for encoding in encodings], is_cut

    def _cut(self, at: int, text: str, tokens: int) -> Encoding:
        """Encode a text anew, cut between its special tokens."""
        if self._cutting is None:
            raise TooLargeError(
                f"text[{at}]",
                limit=f"{self._max_tokens} tokens",
                got=f"{tokens}",
                cure='send it in parts, or serve the model with on_too_long = "truncate"',
            )
        return self._cutting.encode(text)


class EncoderEngine:
    """An `Engine`. A text's vector is the same alone and among others, to the bit."""

    def __init__(self, model: str, encoder: CompiledEncoder, tokeniser: EncoderTokeniser) -> None:
        self._model, self._tokeniser = model, tokeniser
        self._encoder: CompiledEncoder | None = encoder
        self._dimensions = encoder.dimensions

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """`text`: UTF-8."""
        return (TensorSpec("text", DType.BYTES, (ANY,), batch_axis=0),)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """`embedding`, of length 1; `tokens`, what each text cost after any cut; `truncated`, which were cut."""
        return (
            TensorSpec("embedding", DType.FP32, (ANY, self._dimensions), batch_axis=0),
            TensorSpec("tokens", DType.INT64, (ANY,), batch_axis=0),
            TensorSpec("truncated", DType.BOOL, (ANY,), batch_axis=0),
        )

    @property
    def may_block(self) -> bool:
        """It only computes."""
        return False

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        """As `Engine`. A run that is cancelled stops after at most 1,024 tokens more."""
        encoder = self._encoder
        if encoder is None:
            raise UnavailableError(f"the engine of {self._model!r} is closed")
        _stop_if(cancellation)
        names = list(outputs) or [spec.name for spec in self.outputs]
        sentences, is_cut = self._tokeniser.tokens_of(inputs["text"])
        found: dict[str, Callable[[], Array]] = {
            "embedding": lambda: _vectors(encoder, sentences, cancellation),
            "tokens": lambda: np.array([len(sentence) for sentence in sentences], np.int64),
            "truncated": lambda: is_cut,
        }
        return {name: found[name]() for name in names}

    def close(self) -> None:
        """Drop the weights; a running call keeps them until it ends."""
        self._encoder = None


def load(source: EngineSource) -> EncoderEngine:
    """Return an engine for the version folder's config.json, tokenizer.json and safetensors of a BERT encoder.

    Cost: the first start of a model packs and compiles (seconds), later ones map both.
    Errors: ConfigError for a wrong option; ModelFileError for files that are missing, damaged, or contradict the
    declared inputs and outputs; UnsupportedError for an encoder that is no BERT.
    """
    where = source.where or f"{source.model}: [engine]"
    options = read_options(source.options, where)
    try:
        file = open_encoder(source.folder)
    except NotFoundError as error:
        raise ModelFileError(error.message, where=error.where, cure=error.cure) from None
    config = file.config
    if options.max_tokens is not None:
        if options.max_tokens > config.positions:
            raise ConfigError(
                f"the model has {config.positions} positions, got {options.max_tokens}", where=f"{where}.max_tokens"
            )
        config = replace(config, context_tokens=options.max_tokens)
    tokeniser = EncoderTokeniser(
        source.folder / "tokenizer.json",
        vocabulary_tokens=config.vocabulary_tokens,
        max_tokens=config.context_tokens,
        cuts=options.on_too_long == "truncate",
    )
    if config.context_tokens <= tokeniser.special_tokens:
        raise ConfigError(f"leaves no room: {tokeniser.special_tokens} tokens are special", where=f"{where}.max_tokens")
    encoder = CompiledEncoder(
        config,
        file.tensors,
        files=[mapped.path for mapped in file.files],
        mapped=file.files,
        precision=options.precision,
        max_step_tokens=_STEP_TOKENS,
        threads=source.threads,
    )
    engine = EncoderEngine(source.model, encoder, tokeniser)
    _check_declared(where, "inputs", source.inputs, engine.inputs)
    _check_declared(where, "outputs", source.outputs, engine.outputs)
    return engine


def read_options(given: Mapping[str, object], where: str) -> EncoderOptions:
    """Return checked options. Errors: ConfigError naming the key at fault below `where`, and the nearest known one."""
    checked: dict[str, Any] = {}  # Any: each value has its field's type
    for key, value in given.items():
        if key not in _KNOWN:
            raise ConfigError("unknown option", where=f"{where}.{key}", cure=nearest_name(key, _KNOWN))
        if key in _CHOICES and value not in _CHOICES[key]:
            choices = ", ".join(_CHOICES[key])
            raise ConfigError(f"expected one of {choices}, got {quoted(value)}", where=f"{where}.{key}")
        if key == "max_tokens" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"expected a whole number above 0, got {quoted(value)}", where=f"{where}.{key}")
        checked[key] = value
    return EncoderOptions(**checked)


def _vectors(encoder: CompiledEncoder, sentences: Sequence[I32], cancellation: Cancellation | None) -> Array:
    """Return the vectors (n, d) f32, in order."""
    found = np.empty((len(sentences), encoder.dimensions), np.float32)
    for group in groups([len(sentence) for sentence in sentences], _STEP_TOKENS):
        _stop_if(cancellation)
        found[group] = encoder.encode([sentences[at] for at in group])
    return found


def groups(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield which sentences to encode together: those of like lengths, of at most `most` tokens or one sentence.

    Nothing is filled up to the longest; like lengths keep the tables of pages narrow and the threads' shares even.
    """
    group: list[int] = []
    total = 0
    for at in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if group and total + lengths[at] > most:
            yield group
            group, total = [], 0
        group.append(at)
        total += lengths[at]
    if group:
        yield group


def _check_declared(where: str, table: str, declared: Sequence[TensorSpec], own: Sequence[TensorSpec]) -> None:
    """Errors: ModelFileError where model.toml says what is not so."""
    by_name = {spec.name: spec for spec in own}
    for spec in declared:
        place = f"{where.removesuffix(': [engine]')}: [[{table}]] {spec.name}"
        if spec.name not in by_name:
            raise ModelFileError("an encoder has no such tensor", where=place, cure=nearest_name(spec.name, by_name))
        mine = by_name[spec.name]
        said, is_so = (f"{s.dtype.value} {list(s.shape)}" for s in (spec, mine))
        if said != is_so:
            raise ModelFileError(f"declared {said}, but the model has {is_so}", where=place)
        if spec.batch_axis not in (None, 0):
            raise ModelFileError(f"batch axis {spec.batch_axis}", where=place, cure="the batch axis is 0")


def _loaded(path: Path) -> Tokenizer:
    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001  # the library raises plain Exception for every damaged file
        raise ModelFileError(f"is no tokenizer ({error})", where=str(path), cure="pull the model again") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _text(at: int, element: bytes | str) -> str:
    if isinstance(element, str):
        return element
    try:
        return element.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (byte {error.start})", where=f"text[{at}]", cure="encode text as UTF-8") from None


def _stop_if(cancellation: Cancellation | None) -> None:
    if cancellation is not None and cancellation.is_set:
        raise CancelledError("the run was stopped")
