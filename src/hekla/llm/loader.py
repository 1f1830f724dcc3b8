"""From a version's folder to an engine: `[engine] kind = "llm"`."""

from dataclasses import dataclass
from pathlib import Path

from hekla.base.errors import ConfigError, ModelFileError
from hekla.llm.engine import EngineLimits, LlmEngine
from hekla.llm.lora import read_adapter
from hekla.llm.model_file import ModelFile, open_model
from hekla.llm.model_language import ModelLanguage
from hekla.llm.options import LlmOptions, read_options
from hekla.llm.resources import draft_pages, plan_memory, wanted_context
from hekla.llm.runners import RunnerMaker, runner_maker
from hekla.llm.speculation.draft_model import DraftModel
from hekla.llm.speculation.lookup import PromptLookup
from hekla.protocols.text_engine import TextEngineSource, TextModelInfo
from hekla.runtime.limits import usable_memory_bytes

LOOKUP = "lookup"


def load(source: TextEngineSource) -> LlmEngine:
    """Return an engine for the model in the version's folder.

    Errors: as `TextEngineLoader`.
    """
    options = read_options(source.options, source.where or f"{source.model}: [engine]")
    model = open_model(source.folder)
    language = ModelLanguage(model)
    max_rows = logits_rows(options)
    maker = runner_maker(model, options, max_rows=max_rows, threads=source.threads)
    draft = _draft(source, options, model)
    plan = plan_memory(
        model.config,
        options,
        maker.sizes(),
        usable_memory_bytes(),
        source.where or source.model,
        draft_bytes=0 if draft is None else draft.bytes,
    )
    runner = maker.make(plan.pages, plan.left_bytes)
    try:
        engine = LlmEngine(
            info=TextModelInfo(
                name=source.model,
                family=model.config.family,
                quantisation=model.quantisation,
                parameters=model.parameters,
                context_tokens=plan.context_tokens,
                vocabulary_tokens=model.config.vocabulary_tokens,
                has_chat_template=language.has_chat_template,
                can_call_tools=language.can_call_tools,
            ),
            runner=runner,
            language=language,
            limits=EngineLimits(
                max_running=options.max_running,
                max_waiting=options.max_waiting,
                max_mixed_tokens=options.max_mixed_tokens or max(options.max_running, options.max_step_tokens // 4),
                max_adapters=options.max_adapters,
                adapter_bytes=plan.left_bytes,
                draft_tokens=options.draft_tokens if options.draft else 0,
            ),
            read_adapter=lambda path: read_adapter(path, model.config),
            drafter=PromptLookup() if options.draft == LOOKUP else None if draft is None else draft.make(),
        )
        for name, path in options.adapters.items():
            engine.load_adapter(name, _below(source.folder, path, f"{source.where}.adapters.{name}"))
    except BaseException:
        runner.close()
        raise
    return engine


def logits_rows(options: LlmOptions) -> int:
    """Return the most rows of logits that a step can have."""
    drafted = options.draft_tokens if options.draft else 0
    return min(options.max_step_tokens, options.max_running * (1 + drafted))


@dataclass(frozen=True, slots=True)
class _Draft:
    """The smaller model that guesses, not yet in memory."""

    maker: RunnerMaker
    context_tokens: int
    pages: int
    bytes: int

    def make(self) -> DraftModel:
        """Return it, ready."""
        return DraftModel(self.maker.make(self.pages, 0), context_tokens=self.context_tokens)


def _draft(source: TextEngineSource, options: LlmOptions, model: ModelFile) -> _Draft | None:
    """Return the model that guesses, if one is asked for. Errors: ModelFileError if its tokens are others."""
    if options.draft in ("", LOOKUP):
        return None
    where = f"{source.where}.draft"
    file = open_model(_below(source.folder, options.draft, where))
    if file.config.vocabulary_tokens != model.config.vocabulary_tokens:
        raise ModelFileError(
            f"a model of {file.config.vocabulary_tokens} tokens cannot guess for one of "
            f"{model.config.vocabulary_tokens}",
            where=where,
        )
    maker = runner_maker(file, options, max_rows=options.max_running, threads=source.threads)
    sizes = maker.sizes()
    context = min(wanted_context(model.config, options), file.config.context_tokens)
    pages = draft_pages(sizes, context, options.max_running)
    return _Draft(maker, context, pages, sizes.weight_bytes + sizes.scratch_bytes + pages * sizes.page_bytes)


def _below(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{name!r} leads out of the version's folder", where=where)
    return path
