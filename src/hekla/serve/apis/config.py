"""What a server's own configuration file says about interfaces, as values; `server_toml` reads it.

[apis.vector]                      # an entry point of `hekla.apis`
folder = "data/vector"
threads = 2

[[apis.vector.keys]]
key_env = "ACME_KEY"               # or key = "..."
tenant = "acme"
rights = "write"
collections = ["docs", "acme-*"]
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hekla.serve.config import Count, Places, Range


@dataclass(frozen=True, slots=True)
class KeyConfig:
    """[[apis.NAME.keys]]: one key. Where there is any, requests without a key are refused."""

    key: str = ""
    key_env: str = ""  # the environment variable that holds it
    tenant: str = ""  # "": sees every tenant's data
    rights: Literal["read", "write"] = "write"
    collections: tuple[str, ...] = ()  # names, or patterns such as "public-*"; (): all


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """[apis.NAME]: one interface. `options` are the keys it reads itself."""

    folder: str  # from where the file lies
    threads: Count = 2  # requests worked on at a time
    queue: Places = 256  # requests that wait for a thread; one more is refused at once
    timeout_s: Annotated[float, Range(0.001, 86_400)] = 60.0  # of a request that names none
    keys: tuple[KeyConfig, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerToml:
    """The file."""

    apis: Mapping[str, ApiConfig] = field(default_factory=dict)
