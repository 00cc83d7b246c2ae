"""A client of the inference server on gRPC for Python, from the generated modules of open-inference.proto alone.

infer-client.py HOST:PORT: prints what it was answered as JSON.
"""

import json
import struct
import sys

import grpc
import open_inference_pb2 as messages
import open_inference_pb2_grpc as service

channel = grpc.insecure_channel(sys.argv[1])
server = service.GRPCInferenceServiceStub(channel)

FIRST = list(range(16))
SECOND = [1] * 16


def tensor(name, **contents):
    shape = {"name": name, "datatype": "INT32", "shape": [1, 16]}
    return messages.ModelInferRequest.InferInputTensor(**shape, **contents)


def numbers(answer, index):
    return list(struct.unpack("<16i", answer.raw_output_contents[index]))


def typed(values):
    return {"contents": messages.InferTensorContents(int_contents=values)}


raw = messages.ModelInferRequest(
    model_name="simple",
    id="raw",
    inputs=[tensor("INPUT0"), tensor("INPUT1")],
    raw_input_contents=[struct.pack("<16i", *FIRST), struct.pack("<16i", *SECOND)],
)
plain = messages.ModelInferRequest(
    model_name="simple",
    id="typed",
    inputs=[tensor("INPUT0", **typed(FIRST)), tensor("INPUT1", **typed(SECOND))],
)
wrong = messages.ModelInferRequest(model_name="nosuch", id="wrong")
large = messages.ModelInferRequest(
    model_name="echo-FP32",
    inputs=[messages.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[300_000])],
    raw_input_contents=[bytes(1_200_000)],
)

try:
    server.ModelInfer(wrong)
    code = "OK"
except grpc.RpcError as error:
    code = error.code().name

answer = server.ModelInfer(raw)
streamed = list(server.ModelStreamInfer(iter([raw, wrong, plain])))
compressed = server.ModelInfer(raw, compression=grpc.Compression.Gzip)
config = server.ModelConfig(messages.ModelConfigRequest(name="simple")).config
statistics = server.ModelStatistics(messages.ModelStatisticsRequest(name="simple")).model_stats[0]

print(
    json.dumps(
        {
            "live": server.ServerLive(messages.ServerLiveRequest()).live,
            "ready": server.ServerReady(messages.ServerReadyRequest()).ready,
            "name": server.ServerMetadata(messages.ServerMetadataRequest()).name,
            "inputs": [each.name for each in server.ModelMetadata(messages.ModelMetadataRequest(name="simple")).inputs],
            "sum": numbers(answer, 0),
            "difference": numbers(answer, 1),
            "same": numbers(server.ModelInfer(plain), 0) == numbers(answer, 0) == numbers(compressed, 0),
            "large": len(server.ModelInfer(large).raw_output_contents[0]),
            "streamed": [[each.infer_response.id, bool(each.error_message)] for each in streamed],
            "wrong": code,
            "batch": config.max_batch_size,
            "type": messages.DataType.Name(config.input[0].data_type),
            "count": statistics.inference_count,
            "models": len(server.RepositoryIndex(messages.RepositoryIndexRequest()).models),
        }
    )
)
