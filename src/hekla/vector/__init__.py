"""The vector database: collections on disk, searched in place."""
