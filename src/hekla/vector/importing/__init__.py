"""Points from files, streamed: one file here for each format. `open_source` chooses by the file's name."""

from hekla.vector.importing.choose import KINDS, open_source
from hekla.vector.importing.source import Arrays, Chunk, Names, Source
from hekla.vector.importing.write import Embed, Imported, import_source

__all__ = ["KINDS", "Arrays", "Chunk", "Embed", "Imported", "Names", "Source", "import_source", "open_source"]
