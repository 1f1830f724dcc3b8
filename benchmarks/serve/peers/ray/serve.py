"""Ray Serve: a deployment per model with @serve.batch, one replica; REST by a Starlette handler, gRPC by its proxy."""

import argparse
import json
import signal

import ray
from onnx_model import OnnxModel
from ray import serve
from ray.serve.config import gRPCOptions

# As a call: a decorator would hide the class from the workers' import.
Deployment = serve.deployment(
    num_replicas=1,
    max_ongoing_requests=256,
    ray_actor_options={"num_cpus": 0.1},
    logging_config={"enable_access_log": False},
)(OnnxModel)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.models) as file:
        models = json.load(file)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    servicer = "tritonclient.grpc.service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server"
    serve.start(
        http_options={"host": "127.0.0.1", "port": arguments.http_port},
        grpc_options=gRPCOptions(port=arguments.grpc_port, grpc_servicer_functions=[servicer]),
        logging_config={"enable_access_log": False},
    )
    for model in models:
        serve.run(Deployment.bind(model), name=model["name"], route_prefix=f"/v2/models/{model['name']}")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
