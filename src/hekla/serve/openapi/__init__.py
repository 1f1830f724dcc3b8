"""The server's own description: OpenAPI 3.1, of every route but the console's pages."""
