"""The ways in which models write tool calls, and which one a template teaches."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """How a model writes calls: `opening`, an object with name and arguments (or a list of them), `closing`."""

    name: str
    opening: str
    closing: str
    arguments_key: Literal["arguments", "parameters"]
    is_list: bool = False  # the objects stand in a list
    id_characters: int = 24  # of a call's id; Mistral's templates insist on 9
    other_marks: tuple[str, ...] = ()  # that stand inside of a call
    begins_without_opening: bool = False  # an answer that begins with "{" is a call

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts that may be control tokens, and must be seen in answers."""
        return tuple(text for text in (self.opening, self.closing, *self.other_marks) if text)


HERMES = ToolFormat("hermes", "<tool_call>", "</tool_call>", "arguments")  # Qwen 2.5 and 3 too
MISTRAL = ToolFormat(
    "mistral", "[TOOL_CALLS]", "", "arguments", is_list=True, id_characters=9, other_marks=("[ARGS]", "[CALL_ID]")
)
LLAMA3 = ToolFormat("llama3", "<|python_tag|>", "", "parameters", begins_without_opening=True)
FORMATS = (HERMES, MISTRAL, LLAMA3)


def format_of(template: str) -> ToolFormat:
    """Return the format that a template teaches; for "", one without tools: Hermes, which the default prompt asks for.

    A template whose format is not known is read as Llama 3's: a JSON object with a name and arguments or parameters.
    """
    for known in (MISTRAL, HERMES):
        if known.opening in template:
            return known
    return LLAMA3 if template else HERMES
