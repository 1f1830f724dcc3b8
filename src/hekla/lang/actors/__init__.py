"""Actors: classes whose instances have a thread, a mailbox and fields of their own. Import their words from here."""

from hekla.lang.actors.declare import Actor, Address, actor
from hekla.lang.actors.running import Running

__all__ = ["Actor", "Address", "Running", "actor"]
