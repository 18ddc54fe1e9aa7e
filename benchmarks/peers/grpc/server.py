"""A gRPC model server as gRPC's own Python examples write one: generated stubs, a thread pool, one row a call.

The contract carries one float back, so this arm gives labels without probabilities. More workers are more processes
that listen on one port, as in gRPC's multiprocessing example.
"""

import multiprocessing
import os
import sys
from concurrent import futures

import grpc
import joblib
import numpy as np

sys.path.insert(0, os.environ["BENCH_WORK"])

import model_service_pb2
import model_service_pb2_grpc


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Answers one row a call."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def Predict(
        self, request: model_service_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.PredictReply:
        """The label of the row."""
        features = np.array(request.features).reshape(1, -1)
        return model_service_pb2.PredictReply(prediction=float(self.model.predict(features)[0]))


def serve() -> None:
    """Serve in this process until it is stopped."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10), options=[("grpc.so_reuseport", 1)])
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(), server)
    server.add_insecure_port(f"127.0.0.1:{os.environ['BENCH_PORT']}")
    server.start()
    server.wait_for_termination()


def main() -> None:
    """Serve with as many processes as there are workers."""
    others = int(os.environ["BENCH_WORKERS"]) - 1
    processes = [
        multiprocessing.get_context("spawn").Process(target=serve, daemon=True) for _ in range(others)
    ]
    for process in processes:
        process.start()
    serve()


if __name__ == "__main__":
    main()
