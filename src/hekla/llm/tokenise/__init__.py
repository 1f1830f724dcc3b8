"""Text to tokens and back, by what a model's own file says."""

from hekla.llm.tokenise.detokenise import Detokeniser
from hekla.llm.tokenise.sources import make_tokeniser
from hekla.llm.tokenise.tokeniser import Tokeniser

__all__ = ["Detokeniser", "Tokeniser", "make_tokeniser"]
