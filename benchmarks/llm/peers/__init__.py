"""One program a peer. Each loads a model, then answers requests for greedy tokens, a line of JSON at a time."""
