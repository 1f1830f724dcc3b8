"""Who a request comes from, by its key."""

import hashlib
import os
from collections.abc import Mapping, Sequence

from hekla.base.errors import ConfigError, DeniedError, UnknownCallerError
from hekla.protocols.api import Caller
from hekla.serve.apis.config import KeyConfig

_CURE = "send it as header api-key, or as Authorization: Bearer"


class Keys:
    """The keys of one interface; without any, everybody may do everything."""

    def __init__(self, configs: Sequence[KeyConfig], where: str) -> None:
        """Errors: ConfigError for a key that is empty, too short or given twice."""
        self._callers: dict[bytes, Caller] = {}  # by digest: looking one up takes no time that tells of another
        for i, config in enumerate(configs):
            place = f"{where}.keys[{i}]"
            key = os.environ.get(config.key_env, "") if config.key_env else config.key
            if bool(config.key) == bool(config.key_env) or len(key) < 8:
                cure = "give key or key_env, of 8 characters or more"
                raise ConfigError("has no usable key", where=place, cure=cure)
            if _digest(key) in self._callers:
                raise ConfigError("the same key stands there twice", where=place)
            caller = Caller(config.tenant, config.collections or None, config.rights == "write")
            self._callers[_digest(key)] = caller

    def caller(self, headers: Mapping[str, str], *, is_write: bool) -> Caller:
        """Return who sent these headers. Errors: UnknownCallerError; DeniedError for a write with a key for reading."""
        if not self._callers:
            return Caller()
        key = headers.get("api-key") or ""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not key and scheme.lower() == "bearer":
            key = token.strip()
        if not key:
            raise UnknownCallerError("this needs a key", where="request headers", cure=_CURE)
        caller = self._callers.get(_digest(key))
        if caller is None:
            raise UnknownCallerError("the key is not known", where="request headers", cure=_CURE)
        if is_write and not caller.may_write:
            raise DeniedError("the key is for reading", where="request headers", cure="use a key with rights = 'write'")
        return caller


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
