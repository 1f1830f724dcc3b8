"""Indexes over vectors: exact and by graph, as values that are built, written as one blob, mapped and searched."""
