"""The language-model engine: quantised weights mapped in place, paged KV cache, continuous batching."""
