"""Where a model keeps its chat template, and the texts of the tokens that templates name."""

from collections.abc import Mapping

from hekla.llm.chat.template import ChatTemplate
from hekla.llm.model_file import ModelFile
from hekla.llm.tokenise.tokeniser import Tokeniser


def make_chat_template(model: ModelFile, tokeniser: Tokeniser) -> ChatTemplate | None:
    """Return a model's chat template; None where it has none. Errors: ModelFileError for one that is no Jinja."""
    if not model.chat_templates:
        return None
    return ChatTemplate(model.chat_templates, tokeniser, special_texts(model), f"{model.path}: chat template")


def special_texts(model: ModelFile) -> Mapping[str, str]:
    """Return the texts that templates know as `bos_token` and the like."""
    found = dict(model.special_texts)
    own, texts = model.metadata.under("tokenizer.ggml."), model.metadata.texts("tokenizer.ggml.tokens")
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        if texts is not None and own.get(f"{key}_token_id") is not None:
            found[f"{name}_token"] = texts[own.integer(f"{key}_token_id", least=0, most=len(texts) - 1)]
    return found
