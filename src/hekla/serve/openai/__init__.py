"""The OpenAI API, for clients that speak it: models and embeddings."""
