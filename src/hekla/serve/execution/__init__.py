"""From one validated request to an engine call and back: queueing, batching, instances, sequences."""
