"""The module that tritonclient's messages say they are from: Ray's proxy pickles them by that name."""

from tritonclient.grpc.service_pb2 import *  # noqa: F403  # whatever is there
