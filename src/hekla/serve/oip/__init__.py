"""The Open Inference Protocol's words that REST and gRPC share: tensors as bytes, shared memory."""
