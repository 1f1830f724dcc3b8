"""How much memory an engine takes, decided and refused before any of it is taken."""

from dataclasses import dataclass

from hekla.base.errors import TooLargeError
from hekla.llm.model_config import ModelConfig
from hekla.llm.options import LlmOptions

_DEFAULT_CONTEXT = 8192
_SHARE_OF_FREE = 4  # pages get one part in so many of the memory that is left, where nobody says
_MOST_BY_DEFAULT = 1 << 30
_MOST_DRAFT_BYTES = 256 << 20  # of a draft model's pages
# What the process needs besides, measured: the interpreter, NumPy, the code generator; and for each token its texts.
_OWN_BYTES = 128 << 20
_OWN_TOKEN_BYTES = 200


@dataclass(frozen=True, slots=True)
class RunnerSizes:
    """What a runner would take."""

    weight_bytes: int
    scratch_bytes: int
    page_bytes: int  # of one page, all layers
    page_tokens: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What an engine takes, and may take later."""

    context_tokens: int
    pages: int
    needed_bytes: int
    left_bytes: int  # of the ceiling: for adapters


def plan_memory(
    config: ModelConfig,
    options: LlmOptions,
    sizes: RunnerSizes,
    usable_bytes: int,
    where: str,
    *,
    draft_bytes: int = 0,
) -> MemoryPlan:
    """Return how many pages there will be, beside a draft model that takes `draft_bytes` in all.

    Errors: TooLargeError with the sum, when weights, pages and scratch are over the ceiling, or the pages hold less
    than one whole context.
    """
    context = wanted_context(config, options)
    if context > config.context_tokens:
        raise TooLargeError(
            f"{where}.context_tokens", limit=f"{config.context_tokens} tokens, the model's own", got=f"{context} tokens"
        )
    ceiling = min(options.memory_bytes or usable_bytes, usable_bytes)
    own = _OWN_BYTES + _OWN_TOKEN_BYTES * config.vocabulary_tokens
    fixed = sizes.weight_bytes + sizes.scratch_bytes + draft_bytes + own
    least = -(-context // sizes.page_tokens)
    pages = least
    if options.kv_bytes is not None:
        pages = options.kv_bytes // sizes.page_bytes
        if pages < least:
            raise TooLargeError(
                f"{where}.kv_bytes",
                limit=f"{_mib(options.kv_bytes)} for pages",
                got=f"{_mib(least * sizes.page_bytes)} for one context of {context} tokens",
                cure=f"raise kv_bytes, or lower context_tokens to {pages * sizes.page_tokens}",
            )
    else:
        wanted = least * options.max_running
        budget = max(0, min((ceiling - fixed) // _SHARE_OF_FREE, _MOST_BY_DEFAULT))
        pages = max(least, min(wanted, budget // sizes.page_bytes))
    needed = fixed + pages * sizes.page_bytes
    if needed > ceiling:
        fitting = max(0, ceiling - fixed) // sizes.page_bytes * sizes.page_tokens
        parts = {
            "weights": sizes.weight_bytes,
            "pages": pages * sizes.page_bytes,
            "scratch": sizes.scratch_bytes,
            "draft model": draft_bytes,
            "the process itself": own,
        }
        raise TooLargeError(
            f"{where}.memory_bytes",
            limit=_mib(ceiling),
            got=f"{_mib(needed)}: " + " + ".join(f"{name} {_mib(size)}" for name, size in parts.items() if size),
            cure=f"lower context_tokens to {fitting}" if fitting >= sizes.page_tokens else "take a smaller model",
        )
    return MemoryPlan(context, pages, needed, ceiling - needed)


def wanted_context(config: ModelConfig, options: LlmOptions) -> int:
    """Return how many tokens prompt and answer may have together."""
    return options.context_tokens or min(config.context_tokens, _DEFAULT_CONTEXT)


def draft_pages(sizes: RunnerSizes, context_tokens: int, max_running: int) -> int:
    """Return how many pages a draft model gets: of one context at least. Where they run out nothing is guessed."""
    one = -(-context_tokens // sizes.page_tokens)
    return max(one, min(one * max_running, _MOST_DRAFT_BYTES // sizes.page_bytes))


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
