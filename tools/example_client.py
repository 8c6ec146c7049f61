import os, sys
import grpc
from tandem.v1 import generation_pb2 as pb, generation_pb2_grpc as rpc

channel = grpc.insecure_channel(os.environ["TANDEM_COORDINATOR"])
turn = pb.TurnRequest(text=sys.argv[1])
turn.options.max_tokens = 64
for event in rpc.GenerationServiceStub(channel).Generate(pb.GenerateRequest(turn=turn)):
    print(event.tokens.text + event.ended.text, end="", flush=True)
print()
