"""What the doors ask for: inference, metadata, repository control. Knows no protocol."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hekla.protocols.tensor import Tensors
from hekla.serve.request import Done, InferRequest, Signature
from hekla.serve.text.model import TextModel

# Values of the JSON documents the Open Inference Protocol defines (metadata, config, statistics, index).
Json = dict[str, Any]


class Ticket(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Stop the work for a client that went away. `done` will not be called after this."""


class Express(Protocol):
    """A short way through a model, for doors that join like requests themselves. Always optional.

    A door counts a request in with `enter` and, within the same turn of the loop, hands it over with others in `run`.
    If it likes the outputs it counts them all out with `answered` and answers them; else it takes them out with
    `leave` and sends each by `Service.infer`.
    """

    @property
    def max_rows(self) -> int:
        """How many rows one `run` may have."""

    @property
    def is_current(self) -> bool:
        """False once another version of the model's files is served: ask for its way."""

    @property
    def version(self) -> str:
        """The version of the model, as answers name it."""

    def has_checked(self, signature: Signature) -> bool:
        """True if a request of this signature was found to fit the model: only such may take this way."""

    def enter(self) -> bool: ...

    def leave(self, requests: int) -> None: ...

    def run(self, inputs: Tensors, rows: int, copied_bytes: int) -> Tensors | None:
        """Return the outputs of joined requests of a signature that was checked, all but their rows; None: `leave`."""

    def answered(self, rows: int, received_s: Sequence[float]) -> None: ...


class Service(Protocol):
    """Everything a door may ask. Lives on one event loop; no method waits unless it is `async`."""

    def infer(self, request: InferRequest, done: Done) -> Ticket:
        """Queue a request; `done` is called once on the loop with the answer or the error. Never raises HeklaError."""

    def express(self, model: str, version: str = "") -> Express | None:
        """Return the short way through a model that is served, if it has one."""

    def text(self, model: str, version: str = "") -> TextModel:
        """Return what writes text under a name.

        Errors: NotFoundError, UnavailableError; InputError for a model that does not.
        """

    def text_models(self) -> list[TextModel]:
        """Return every version of a model that writes text."""

    def is_live(self) -> bool: ...

    def is_ready(self) -> bool: ...

    def is_model_ready(self, model: str, version: str = "") -> bool:
        """Errors: NotFoundError."""

    def server_metadata(self) -> Json:
        """{"name", "version", "extensions": [...]}."""

    def model_metadata(self, model: str, version: str = "") -> Json:
        """{"name", "versions", "platform", "inputs": [{"name", "datatype", "shape"}], "outputs": [...]}."""

    def model_config(self, model: str, version: str = "") -> Json:
        """The model's configuration as Triton's `ModelConfig` message in its protobuf JSON form."""

    def model_statistics(self, model: str = "", version: str = "") -> Json:
        """{"model_stats": [...]} as Triton's statistics extension has it; model "" means all."""

    def repository_index(self, ready_only: bool = False) -> list[Json]:
        """[{"name", "version", "state", "reason"}]; state is READY, LOADING, UNLOADING or UNAVAILABLE."""

    async def load_model(self, model: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Read the model's folder again and serve it; the version served before answers until then.

        `parameters["config"]` is JSON text in Triton's ModelConfig form that overrides what model.toml says.
        Errors: NotFoundError, ConfigError, ModelFileError; UnsupportedError for a parameter that is not known.
        """

    async def unload_model(self, model: str, unload_dependents: bool = False) -> None:
        """Stop serving a model: what was accepted is answered first."""
