"""Calls the gRPC server for the harness, which has no gRPC of its own: serialised messages in and out, in hex.

One line of standard input is one request, one line of standard output its reply; an error is a line that starts
with ``!``. It runs in this peer's environment.
"""

import sys

import grpc

METHOD = "/ModelService/Predict"
TIMEOUT_SECONDS = 10.0
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 20),
]


def main() -> None:
    """Answer lines until standard input ends."""
    with grpc.insecure_channel(sys.argv[1], options=OPTIONS) as channel:
        call = channel.unary_unary(METHOD)
        for line in sys.stdin:
            try:
                reply = call(bytes.fromhex(line), timeout=TIMEOUT_SECONDS).hex()
            except grpc.RpcError as error:
                reply = f"!{error.code().name} {' '.join((error.details() or '').split())}"
            print(reply, flush=True)


if __name__ == "__main__":
    main()
