import os, sys, grpc
from tandem.v1 import generation_pb2 as pb, generation_pb2_grpc as rpc

channel = grpc.insecure_channel(os.environ["TANDEM_COORDINATOR"])
key = open(os.environ.get("TANDEM_KEY_FILE", os.devnull)).read().strip()
turn = pb.TurnRequest(text=sys.argv[1], options={"max_tokens": 64})
generate = rpc.GenerationServiceStub(channel).Generate
for event in generate(pb.GenerateRequest(turn=turn), metadata=[("authorization", "Bearer " + key)]):
    print(event.tokens.text + event.ended.text, end="", flush=True)
print()
