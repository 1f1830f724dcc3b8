"""gRPC over our own HTTP/2, and the Open Inference Protocol's service on it."""
