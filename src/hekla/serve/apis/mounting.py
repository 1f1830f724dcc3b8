"""Makes the interfaces a configuration names, and puts them on the server's doors."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hekla.base.errors import ConfigError, HeklaError, nearest_name
from hekla.protocols.api import ApiLoader, ApiServices, ApiSource
from hekla.serve.apis.config import ApiConfig
from hekla.serve.apis.embedding import Embedding
from hekla.serve.apis.mounted import MountedApi
from hekla.serve.grpc.method import Method
from hekla.serve.http.message import Response
from hekla.serve.http.router import Router
from hekla.serve.service import Service


class Mounts:
    """The interfaces of one server. Lives on its event loop."""

    def __init__(
        self, configs: Mapping[str, ApiConfig], loaders: Mapping[str, ApiLoader], service: Service, threads: int
    ) -> None:
        """Errors: ConfigError for a name nobody has; the interface's own, and then none is left open."""
        services = ApiServices(Embedding(service).embed)
        self.apis: list[MountedApi] = []
        try:
            for name, config in configs.items():
                if name not in loaders:
                    cure = nearest_name(name, loaders)
                    raise ConfigError(f"no interface is named {name!r}", where=f"[apis.{name}]", cure=cure)
                source = ApiSource(Path(config.folder), config.options, threads, f"[apis.{name}]")
                api = loaders[name](source, services)
                try:
                    self.apis.append(MountedApi(name, api, config))
                except HeklaError:
                    api.close()
                    raise
        except HeklaError:
            for mounted in self.apis:
                mounted.close()
            raise

    def described(self, document: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        """Return the server's OpenAPI document with the interfaces' in it."""
        paths, schemas = dict(document["paths"]), dict(document["components"]["schemas"])
        tags = list(document["tags"])
        for mounted in self.apis:
            own = mounted.api.openapi()
            for path, item in own["paths"].items():
                paths[path] = {**paths.get(path, {}), **item}
            schemas |= own["components"]["schemas"]
            names = {
                tag for item in own["paths"].values() for one in item.values() if "tags" in one for tag in one["tags"]
            }
            tags += [{"name": tag} for tag in sorted(names)]
        return {**document, "tags": tags, "paths": paths, "components": {"schemas": schemas}}

    def add_to(self, router: Router, pages: Mapping[str, Response]) -> None:
        """Add every route. pages: what browsers get where a route has the path of one."""
        for mounted in self.apis:
            mounted.add_to(router, pages)

    def methods(self) -> dict[bytes, Method]:
        """Return every remote procedure by path."""
        return {path: method for mounted in self.apis for path, method in mounted.methods().items()}

    async def close(self) -> None:
        """Finish what was accepted, close every interface."""
        for mounted in self.apis:
            await asyncio.to_thread(mounted.close)
