"""Texts into vectors, by a running server."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import NotFoundError, UnavailableError
from hekla.cli.client import ServerClient, UnreachableError


def embedder(url: str, model: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return what embeds texts with a server's model, (n, dimension) f32.

    Errors when called: UnavailableError with the cure where no server answers, or it has no such model.
    """

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        try:
            with ServerClient(url) as client:
                answer: Any = client.post("/v1/embeddings", {"model": model, "input": list(texts)})
        except UnreachableError as error:
            raise UnavailableError(
                f"no server answers at {url}, and texts need its model to become vectors",
                where="--url",
                cure="start one with `hekla up`, or use a collection of words only (`--dimension 0`)",
            ) from error
        except NotFoundError as error:
            cure = "name one of `hekla models list` with --model, or start the samples with `hekla up`"
            raise UnavailableError(f"the server has no model {model!r}", where="--model", cure=cure) from error
        return np.array([one["embedding"] for one in answer["data"]], np.float32)

    return embed
