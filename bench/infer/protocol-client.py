"""Times requests for inference by gRPC for Python: `protocol-client.py HOST:PORT|own ELEMENTS...` prints medians in ms.

`own` asks a gRPC server of Python's, in a process of its own, that gives back its input.
"""

import json
import multiprocessing
import statistics
import sys
import time
from concurrent import futures

import grpc
import open_inference_pb2 as messages
import open_inference_pb2_grpc as service

REQUESTS = 300
WARM_UP = 60


class Echo(service.GRPCInferenceServiceServicer):
    def ModelInfer(self, request, context):
        answer = messages.ModelInferResponse(model_name="echo", model_version="1")
        answer.outputs.add(name="y", datatype="FP32", shape=request.inputs[0].shape)
        answer.raw_output_contents.append(request.raw_input_contents[0])
        return answer


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service.add_GRPCInferenceServiceServicer_to_server(Echo(), server)
    port.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def measure(stub, elements):
    request = messages.ModelInferRequest(model_name="echo")
    request.inputs.add(name="x", datatype="FP32", shape=[elements])
    request.raw_input_contents.append(bytes(elements * 4))
    times = []
    for _ in range(WARM_UP + REQUESTS):
        begun = time.perf_counter()
        stub.ModelInfer(request)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times[WARM_UP:])


def main(address, *sizes):
    own = None
    if address == "own":
        ours, theirs = multiprocessing.Pipe()
        own = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
        own.start()
        address = f"127.0.0.1:{ours.recv()}"
    stub = service.GRPCInferenceServiceStub(grpc.insecure_channel(address))
    print(json.dumps([measure(stub, int(size)) for size in sizes]))
    if own:
        own.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
