"""What the doors ask for: inference, metadata, repository control. Knows no protocol."""

from collections.abc import Mapping
from typing import Any, Protocol

from hekla.serve.request import Done, InferRequest

# Values of the JSON documents the Open Inference Protocol defines (metadata, config, statistics, index).
Json = dict[str, Any]


class Ticket(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Stop the work for a client that went away. `done` will not be called after this."""


class Service(Protocol):
    """Everything a door may ask. Lives on one event loop; no method waits unless it is `async`."""

    def infer(self, request: InferRequest, done: Done) -> Ticket:
        """Queue a request; `done` is called once on the loop with the answer or the error. Never raises HeklaError."""

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
