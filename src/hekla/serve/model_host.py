"""The service behind every door: finds the model, hands it the request, describes what there is."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hekla.base.errors import HeklaError, InputError, NotFoundError, UnavailableError, UnsupportedError
from hekla.protocols.tensor import Tensors
from hekla.serve import describe
from hekla.serve.execution.express import express_through
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.loading import Parts
from hekla.serve.override import read_override
from hekla.serve.repository import Repository, steps_of
from hekla.serve.request import Done, InferRequest
from hekla.serve.served_model import OnAnswered
from hekla.serve.service import Express, Json, Ticket
from hekla.serve.text.executor import TextExecutor
from hekla.serve.text.generation import OnText
from hekla.serve.text.model import TextModel

EXTENSIONS = (
    "binary_tensor_data",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "statistics",
    "system_shared_memory",
    "parameters",
    "schedule_policy",
)


class _Nothing:
    """The ticket of a request that never got anywhere."""

    def __init__(self, answer: asyncio.Handle) -> None:
        self._answer = answer

    def cancel(self) -> None:
        """Do not even answer."""
        self._answer.cancel()


class ModelHost:
    """`Service` over a repository of models. Lives on one event loop."""

    def __init__(
        self,
        folders: Sequence[Path],
        parts: Parts,
        on_answered: OnAnswered | None,
        name: str,
        version: str,
        on_text: OnText | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._name, self._version = name, version
        self._ready = False
        self._draining = False
        self.repository = Repository(folders, parts, self._submit_part, on_answered, on_text)

    async def start(self) -> None:
        """Load every model; the server is ready afterwards."""
        await self.repository.load_all()
        self._ready = True

    async def stop(self) -> None:
        """Refuse what comes, answer what was accepted, free everything.

        An engine call that hangs holds this up for as long as it runs: give it a time limit. Cancelling it is safe:
        what still hangs then does so on daemon threads.
        """
        self._draining = True
        await self.repository.close()

    def infer(self, request: InferRequest, done: Done) -> Ticket:
        """Queue a request; `done` is called on the loop, never before this returns."""
        try:
            return self.repository.find(request.model, request.version).submit(request, done)
        except HeklaError as error:
            return _Nothing(self._loop.call_soon(done, error))

    def express(self, model: str, version: str = "") -> Express | None:
        """Return the short way through a model, None for a model that has none or is not served."""
        try:
            served = self.repository.find(model, version)
        except HeklaError:
            return None
        return express_through(served)

    def text(self, model: str, version: str = "") -> TextModel:
        """Return what writes text under a name.

        Errors: NotFoundError, UnavailableError; InputError for a model that does not.
        """
        executor = self.repository.find(model, version).executor
        if not isinstance(executor, TextExecutor):
            raise InputError(f"the model {model!r} does not write text", where="$.model", cure=self._text_names())
        return executor.model

    def _text_names(self) -> str:
        names = sorted({model.name for model in self.text_models()})
        return f"these do: {', '.join(names)}" if names else "none that is served here does"

    def text_models(self) -> list[TextModel]:
        """Return every version of a model that writes text."""
        executors = (served.executor for served in self.repository.served())
        return [executor.model for executor in executors if isinstance(executor, TextExecutor)]

    def end_texts(self) -> None:
        """End every answer that is being written, as it is."""
        for served in (*self.repository.served(), *self.repository.leaving):
            if isinstance(served.executor, TextExecutor):
                served.executor.model.end_all()

    def is_live(self) -> bool:
        """True: the event loop turns."""
        return True

    def is_ready(self) -> bool:
        """True from the first load of the repository until the server begins to stop."""
        return self._ready and not self._draining

    def is_model_ready(self, model: str, version: str = "") -> bool:
        """True if the model answers, and with it every model its steps name. Errors: NotFoundError."""
        try:
            served = self.repository.find(model, version)
        except UnavailableError:
            return False
        return served.is_ready and all(self._is_step_ready(step) for step in steps_of(served.config))

    def _is_step_ready(self, model: str) -> bool:
        try:
            return self.is_model_ready(model)
        except NotFoundError:  # it is the graph that was asked for, and that is there
            return False

    def server_metadata(self) -> Json:
        """Return the Open Inference Protocol's server metadata."""
        return {"name": self._name, "version": self._version, "extensions": list(EXTENSIONS)}

    def model_metadata(self, model: str, version: str = "") -> Json:
        """Return the Open Inference Protocol's model metadata. Errors: NotFoundError, UnavailableError."""
        served = self.repository.find(model, version)
        versions = [other.version for other in self.repository.served() if other.name == model]
        return describe.metadata(served, [served.version] if version else versions)

    def model_config(self, model: str, version: str = "") -> Json:
        """Return the configuration in Triton's form. Errors: NotFoundError, UnavailableError."""
        return describe.configuration(self.repository.find(model, version))

    def model_statistics(self, model: str = "", version: str = "") -> Json:
        """Return the statistics in Triton's form. Errors: NotFoundError, UnavailableError."""
        if model:
            newest = self.repository.find(model, version)
            chosen = [newest] if version else [m for m in self.repository.served() if m.name == model]
        else:
            chosen = self.repository.served()
        return {"model_stats": [describe.statistics(served) for served in chosen]}

    def repository_index(self, ready_only: bool = False) -> list[Json]:
        """Return name, version, state and reason of every model known."""
        index: list[Json] = []
        for entry in self.repository.entries:
            versions: list[str] = [str(version) for version in entry.versions] or [""]
            if ready_only and entry.state != "READY":
                continue
            for version in versions:
                row: Json = {"name": entry.name, "version": version, "state": entry.state, "reason": entry.reason}
                index.append(row)
        return index

    async def load_model(self, model: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Read the model's folder again and serve it, with what `parameters["config"]` overrides.

        Errors: NotFoundError, ConfigError, ModelFileError; UnsupportedError for another parameter.
        """
        given = dict(parameters or {})
        override = read_override(given.pop("config", "{}"), f"failed to load {model!r}")
        if given:
            raise UnsupportedError(f"unknown load parameter {next(iter(given))!r}", where="$.parameters")
        await self.repository.load(model, override)

    async def unload_model(self, model: str, unload_dependents: bool = False) -> None:
        """Stop serving a model, and with `unload_dependents` the models its steps name. Errors: NotFoundError."""
        entry = next((e for e in self.repository.entries if e.name == model), None)
        await self.repository.unload(model)
        if unload_dependents and entry is not None:
            for name in steps_of(entry.config):
                with contextlib.suppress(NotFoundError):  # a step's model that never was there
                    await self.repository.unload(name)

    def _submit_part(self, model: str, inputs: Tensors, outer: Job, on_end: OnEnd) -> Callable[[], None]:
        try:
            served = self.repository.find(model)
        except HeklaError as error:
            on_end(error)
            return _already_ended
        return served.submit_part(inputs, outer, on_end).cancel


def _already_ended() -> None:
    """There is nothing left to cancel."""
