"""Conversations as a model's own template writes them."""

from hekla.llm.chat.template import ChatTemplate

__all__ = ["ChatTemplate"]
