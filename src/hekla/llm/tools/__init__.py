"""Tools: how models are told of them, how they call them, and how an answer is held to them."""

from hekla.llm.tools.formats import ToolFormat, format_of
from hekla.llm.tools.replies import reply_parser

__all__ = ["ToolFormat", "format_of", "reply_parser"]
