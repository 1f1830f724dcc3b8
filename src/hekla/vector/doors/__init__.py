"""The doors of the vector database: the REST interface `qdrant-client` speaks, and gRPC, as an `Api` for the server."""
