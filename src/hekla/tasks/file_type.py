"""What kind of file some bytes are: Magika's features before its network, Magika's rules after it.

Source: Magika (Fratantonio et al., arXiv:2409.13768), feature extraction version 2 and the prediction rules of the
`magika` package; config.min.json and content_types_kb.min.json are that package's files.
"""

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, ModelFileError, ShapeError
from hekla.protocols.stage import StageSource, Values
from hekla.protocols.tensor import TensorSpec
from hekla.tasks.options import read_options, reject_options

_CONFIG, _KINDS = "config.min.json", "content_types_kb.min.json"
_CONFIDENCES = ("high", "medium", "best-guess")


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The options of `file_type.label`."""

    # When a network's answer is trusted: above the type's own threshold, above one for all types, or always.
    confidence: str = "high"

    def __post_init__(self) -> None:
        if self.confidence not in _CONFIDENCES:
            raise ConfigError(f"got {self.confidence!r}", where="confidence", cure=f"write one of {_CONFIDENCES}")


@dataclass(frozen=True, slots=True)
class FeatureRules:
    """How bytes become numbers, from config.min.json."""

    beg_size: int
    end_size: int
    block_size: int  # bytes looked at from each end
    padding_token: int
    min_file_size_for_dl: int  # bytes; shorter content is judged without the network

    @classmethod
    def read(cls, path: Path) -> Self:
        """Errors: ModelFileError for a file that is damaged or asks for features of another version."""
        config = _read_json(path)
        unsupported = [key for key in ("mid_size", "use_inputs_at_offsets") if config.get(key)]
        if unsupported:
            raise ModelFileError(f"{unsupported[0]} is not supported", where=str(path), cure="use a v3 Magika model")
        try:
            return cls(**{name: int(config[name]) for name in cls.__dataclass_fields__})
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"says no {error}", where=str(path)) from None


class Features:
    """Stage `file_type.features`: the two ends of a file as tokens.

    file BYTES (1,) -> bytes INT32 (1, beg_size + end_size), byte values and the padding token; carried: decided, the
    label of a file that needs no network ("empty", "txt", "unknown"), else None.
    """

    inputs = (TensorSpec("file", DType.BYTES, (1,)),)
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, rules: FeatureRules) -> None:
        self._rules = rules

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        if values["file"].shape != (1,):
            raise ShapeError("file", expected="(1,)", got=values["file"].shape)
        (file,) = values["file"].tolist()
        content = file.encode() if isinstance(file, str) else file
        row = self._features(content)
        rest = {name: value for name, value in values.items() if name != "file"}
        return rest | {"bytes": row[None], "decided": self._decided(content, row)}

    def _features(self, content: bytes) -> NDArray[np.int32]:
        rules = self._rules
        row = np.full(rules.beg_size + rules.end_size, rules.padding_token, np.int32)
        first = content[: rules.block_size].lstrip()[: rules.beg_size]
        row[: len(first)] = np.frombuffer(first, np.uint8)
        last = content[-rules.block_size :].rstrip()[-rules.end_size :]
        row[len(row) - len(last) :] = np.frombuffer(last, np.uint8)
        return row

    def _decided(self, content: bytes, row: NDArray[np.int32]) -> str | None:
        rules = self._rules
        if not content:
            return "empty"
        if len(content) >= rules.min_file_size_for_dl and row[rules.min_file_size_for_dl - 1] != rules.padding_token:
            return None
        try:
            content[: rules.block_size].decode("utf-8")
        except UnicodeDecodeError:
            return "unknown"
        return "txt"


@dataclass(frozen=True, slots=True)
class FileKind:
    """What is known about one content type."""

    mime_type: str
    description: str
    is_text: bool


class Label:
    """Stage `file_type.label`: the network's scores to the answer Magika gives.

    target_label FP32 (1, labels) and `decided` -> label, mime_type, description BYTES (1,) and score FP32 (1,), 1.0
    where no network was asked.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs = (
        TensorSpec("label", DType.BYTES, (1,)),
        TensorSpec("score", DType.FP32, (1,)),
        TensorSpec("mime_type", DType.BYTES, (1,)),
        TensorSpec("description", DType.BYTES, (1,)),
    )

    def __init__(self, config: Mapping[str, Any], kinds: Mapping[str, FileKind], confidence: str) -> None:
        # Any: JSON, read once below
        self._labels: list[str] = config["target_labels_space"]
        self._overwrite: dict[str, str] = config["overwrite_map"]
        self._medium: float = config["medium_confidence_threshold"]
        self._thresholds: dict[str, float] = config["thresholds"] if confidence == "high" else {}
        self._trusts_all = confidence == "best-guess"
        self._kinds = kinds

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        scores: NDArray[np.float32] = values["target_label"]  # (1, labels) f32
        if scores.shape != (1, len(self._labels)):
            raise ModelFileError(
                f"the graph gives scores {list(scores.shape)}, {_CONFIG} names {len(self._labels)} labels",
                cure="take both files from one Magika model",
            )
        label, score = values["decided"], 1.0
        if label is None:
            best = int(scores.argmax())
            # The rules compare Python floats made from f32, as Magika does.
            score = float(scores[0, best])
            label = self._judged(self._labels[best], score)
        kind = self._kinds[label]
        return {
            "label": _bytes(label),
            "score": np.array([score], np.float32),
            "mime_type": _bytes(kind.mime_type),
            "description": _bytes(kind.description),
        }

    def _judged(self, label: str, score: float) -> str:
        """Return the label answered: the network's, its replacement, or a plain one where the score is too low."""
        answer = self._overwrite.get(label, label)
        if self._trusts_all or score >= self._thresholds.get(label, self._medium):
            return answer
        return "txt" if self._kinds[answer].is_text else "unknown"


def features(source: StageSource) -> Features:
    """Make stage `file_type.features`. Errors: ConfigError for any option; ModelFileError for a damaged config."""
    reject_options(source)
    return Features(FeatureRules.read(source.folder / _CONFIG))


def label(source: StageSource) -> Label:
    """Make stage `file_type.label`. Errors: ConfigError for a wrong option; ModelFileError for damaged files."""
    options = read_options(LabelOptions, source)
    path = source.folder / _CONFIG
    config, kinds = _read_json(path), _read_kinds(source.folder / _KINDS)
    try:
        stage = Label(config, kinds, options.confidence)
        answers = {*config["target_labels_space"], *config["overwrite_map"].values(), "empty", "txt", "unknown"}
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"says no {error}", where=str(path)) from None
    if unknown := sorted(answers - kinds.keys()):
        raise ModelFileError(f"does not describe {unknown[0]!r}", where=str(source.folder / _KINDS))
    return stage


def _read_kinds(path: Path) -> dict[str, FileKind]:
    try:
        return {
            name: FileKind(
                row["mime_type"] or ("text/plain" if row["is_text"] else "application/octet-stream"),
                row["description"] or name,
                bool(row["is_text"]),
            )
            for name, row in _read_json(path).items()
        }
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"a type has no {error}", where=str(path)) from None


def _read_json(path: Path) -> dict[str, Any]:  # Any: what the file says is checked where it is used
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot be read ({error})", where=str(path), cure="pull the model again") from None
    if not isinstance(document, dict):
        raise ModelFileError("expected a table", where=str(path), cure="pull the model again")
    return document


def _bytes(text: str) -> NDArray[np.object_]:
    return np.array([text.encode()], np.object_)
