"""A text engine of bytes and counts: the smallest that keeps every promise of `hekla.protocols.text_engine`.

It writes what its corpus would go on with, answers structured requests with the simplest instance of their schema and
calls a tool when told "call NAME". For trying applications without a model, and for tests of everything around one.
"""
