"""Compare sentences by their embeddings, with OpenAI's own client: `python examples/openai_embeddings.py [URL]`."""

import sys

import numpy as np
import openai

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none")  # the client wants a key, the server asks for none
answer = client.embeddings.create(model="embed", input=["a cat", "a kitten", "a tax return"])
vectors = np.array([item.embedding for item in answer.data])  # (3, 384), each of length 1
print(vectors.shape, answer.usage.total_tokens)
print((vectors @ vectors.T).round(2))
