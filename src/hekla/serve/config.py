"""What a `model.toml` says, as values; `hekla.serve.model_toml` parses it, docs/formats/model-toml.md defines it.

The parser reads these classes: a key's type, its range (`Annotated`) and its default are written here and nowhere else.
What several keys must agree on is in `hekla.serve.model_rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from hekla.base.dtypes import DType
from hekla.protocols.tensor import TensorSpec

GRAPH = "graph"  # the engine kind of a model that is made of other models


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a key may hold, both ends included."""

    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high


Task = Literal["", "chat", "completion", "embedding", "ocr", "vad", "file-type"]
Axis = Annotated[int, Range(0, 31)]
Count = Annotated[int, Range(1, 4096)]
Levels = Annotated[int, Range(1, 64)]
Rows = Annotated[int, Range(1, 65_536)]
Places = Annotated[int, Range(1, 1_000_000)]  # in a queue; sequences alive at once
Milliseconds = Annotated[int, Range(0, 86_400_000)]  # up to a day
Microseconds = Annotated[int, Range(0, 10_000_000)]  # up to ten seconds
Version = Annotated[int, Range(1, 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """[engine]: what computes. `options` are the keys the engine itself reads."""

    kind: str  # an entry point of `hekla.engines` or `hekla.text_engines`, or GRAPH
    isolation: Literal["thread", "process"] = "thread"
    threads: Annotated[int, Range(0, 4096)] = 0  # 0: the server's default
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PadConfig:
    """One [[batching.pad]]: a variable axis of an input that is filled up so that requests can share a batch."""

    input: str
    axis: Axis
    value: float = 0
    multiple: Rows = 1  # lengths are rounded up to it, so that few distinct shapes reach the engine


@dataclass(frozen=True, slots=True)
class BatchingConfig:
    """[batching]: a batch leaves when it is full, or its oldest request waited long enough, or the engine is idle."""

    max_batch: Rows = 1  # rows
    max_delay_us: Microseconds = 0
    preferred: tuple[Rows, ...] = ()  # rows; a batch grows to the largest of these it can fill
    pad: tuple[PadConfig, ...] = ()
    adaptive: bool = True  # measure latency by batch size and do not batch where it hurts


@dataclass(frozen=True, slots=True)
class InstancesConfig:
    """[instances]: how many engines are loaded and run side by side."""

    count: Count = 1


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """[queue]: beyond `capacity` waiting requests are refused at once."""

    capacity: Places = 512
    max_wait_ms: Milliseconds = 1000  # a request that would wait longer, at the measured rate, is refused; 0: any wait
    timeout_ms: Milliseconds = 0  # a request that names no deadline gets this one; 0: none
    run_timeout_ms: Milliseconds = 0  # an engine call longer than this counts as hung; 0: never
    priority_levels: Levels = 3  # 1 is served first; a request that names none gets the middle one


@dataclass(frozen=True, slots=True)
class VersionsConfig:
    """[versions]: which of the numbered folders are served."""

    policy: Literal["latest", "all", "specific"] = "latest"
    count: Count = 1  # with "latest": how many
    specific: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class StageConfig:
    """[pipeline.load], [pipeline.preprocess], [pipeline.postprocess], or one stage step of a graph."""

    stage: str  # an entry point of `hekla.stages`
    concurrency: Count = 1
    queue: Places = 256
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """[pipeline]: what happens around the engine."""

    load: StageConfig | None = None
    preprocess: StageConfig | None = None
    postprocess: StageConfig | None = None


@dataclass(frozen=True, slots=True)
class StateConfig:
    """One [[sequence.states]]: an engine output that comes back as an engine input of the sequence's next request."""

    input: str
    output: str
    dtype: DType
    shape: tuple[Places, ...]  # of one sequence: 1 at the batch axis; starts as zeros
    batch_axis: Axis = 0


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """One [[sequence.controls]]: an engine input that the server fills from the request's place in its sequence.

    "start", "end" and "ready" are 1 or 0 in the input's dtype; "correlation_id" is the sequence's id. Shape (rows, 1).
    """

    input: str
    kind: Literal["start", "end", "ready", "correlation_id"]


@dataclass(frozen=True, slots=True)
class SequenceConfig:
    """[sequence]: requests of one correlation id are run in order and share state."""

    states: tuple[StateConfig, ...] = ()
    controls: tuple[ControlConfig, ...] = ()
    idle_timeout_s: Annotated[float, Range(0.001, 86_400)] = 60.0
    max_sequences: Places = 1024


@dataclass(frozen=True, slots=True)
class StepConfig:
    """One [[graph.steps]]: a model or a stage, fed from the graph's inputs and from earlier steps.

    `inputs` maps the step's input names to "name" (an input of the graph) or "step.name" (an output of a step).
    With `for_each` set to one of those input names, the step runs once per element of that value, all at once,
    and each of its outputs is the list of what came.
    """

    name: str
    model: str | None = None
    stage: StageConfig | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    for_each: str | None = None


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """[graph]: the steps and where the graph's outputs come from ("step.name")."""

    steps: tuple[StepConfig, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlaConfig:
    """[text.sla]: what a model that writes text must keep for gold, silver and bronze, over the last minute."""

    first_token_ms: tuple[Milliseconds, ...] = (300, 1000, 3000)  # 95 of 100 first tokens come within
    between_tokens_ms: tuple[Milliseconds, ...] = (30, 60, 150)  # 95 of 100 further tokens come within
    tokens_per_s: tuple[Places, ...] = (30, 15, 5)  # half of the answers are written at least so fast


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """[text.sampling]: how tokens are chosen where a request does not say."""

    temperature: Annotated[float, Range(0, 2)] = 1.0
    top_k: Annotated[int, Range(0, 1 << 24)] = 0  # 0: all
    top_p: Annotated[float, Range(0.001, 1)] = 1.0
    min_p: Annotated[float, Range(0, 1)] = 0.0
    repetition_penalty: Annotated[float, Range(0.01, 100)] = 1.0
    presence_penalty: Annotated[float, Range(-2, 2)] = 0.0
    frequency_penalty: Annotated[float, Range(-2, 2)] = 0.0


@dataclass(frozen=True, slots=True)
class TextConfig:
    """[text]: how a model that writes text is served."""

    max_waiting: Places = 256  # answers without a first token; one more is refused at once
    sampling: SamplingConfig = SamplingConfig()
    sla: SlaConfig = SlaConfig()


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model folder's `model.toml`."""

    name: str
    path: Path  # of model.toml
    engine: EngineConfig
    description: str = ""
    task: Task = ""  # what `hekla infer` and the OpenAI routes go by
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    batching: BatchingConfig = BatchingConfig()
    instances: InstancesConfig = InstancesConfig()
    queue: QueueConfig = QueueConfig()
    versions: VersionsConfig = VersionsConfig()
    pipeline: PipelineConfig = PipelineConfig()
    sequence: SequenceConfig | None = None
    graph: GraphConfig | None = None
    text: TextConfig = TextConfig()
    parameters: Mapping[str, str] = field(default_factory=dict)  # free text shown to clients
