"""The LoRA adapters of a model that writes text: loaded and forgotten while it answers."""

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path

from hekla.base.errors import ConfigError, HeklaError, InputError, NotFoundError, quoted
from hekla.protocols.text_engine import TextEngine
from hekla.serve.text.runner import Errand

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_log = logging.getLogger(__name__)


class Adapters:
    """Those loaded since the start, besides the ones the engine's own options name. Lives on the event loop."""

    def __init__(self, folder: Path, run: Callable[[Errand], None]) -> None:
        """`folder` is the version's; `run` has something done between two steps.

        Errors of `run`: UnavailableError.
        """
        self._folder, self._run = folder, run
        self._loaded: dict[str, Path] = {}

    async def load(self, name: str, folder: str) -> None:
        """Make an adapter ready; `folder` is below the version's own.

        Errors: InputError for a name, a folder or files that will not do; NotFoundError, ConflictError, TooLargeError;
        UnavailableError.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"is {quoted(name)}", where="$.lora_name", cure="letters, digits, '.', '_' and '-'")
        path = (self._folder / folder).resolve()
        if not folder or not path.is_relative_to(self._folder.resolve()):
            raise InputError("leads out of the model's folder", where="$.lora_path", cure="put it below the version's")
        if not await asyncio.to_thread(path.is_dir):
            raise NotFoundError(f"the model has no folder {quoted(folder)}", where="$.lora_path")
        try:
            await self._done(lambda engine: engine.load_adapter(name, path))
        except ConfigError as error:  # the caller chose the files: not a fault of the server's own
            raise InputError(error.message, where="$.lora_path", cure=error.cure) from error
        self._loaded[name] = path

    async def unload(self, name: str) -> None:
        """Forget an adapter. Errors: NotFoundError; ConflictError while a request uses it; UnavailableError."""
        await self._done(lambda engine: engine.unload_adapter(name))
        self._loaded.pop(name, None)

    def load_into(self, engine: TextEngine) -> None:
        """Give them to an engine that was made again. On the engine's thread."""
        for name, path in tuple(self._loaded.items()):
            try:
                engine.load_adapter(name, path)
            except HeklaError as error:
                _log.error("the adapter %s was lost with its engine: %s", name, error)

    async def _done(self, call: Callable[[TextEngine], None]) -> None:
        ended: asyncio.Future[HeklaError | None] = asyncio.get_running_loop().create_future()
        self._run(Errand(call, lambda error: None if ended.cancelled() else ended.set_result(error)))
        failure = await ended
        if failure is not None:
            raise failure
