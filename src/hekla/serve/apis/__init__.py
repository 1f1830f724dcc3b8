"""Application interfaces that engines bring along, mounted on the server's doors: routes, keys, limits, metrics."""
