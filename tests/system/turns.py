"""Turns of the public service for the tests that check their tokens."""

import importlib
import queue
import sys
import tempfile

import grpc

import processes


def import_stubs():
    with tempfile.TemporaryDirectory() as folder:
        processes.make_stubs(folder)
        sys.path.insert(0, folder)
        try:
            return (importlib.import_module("tandem.v1.generation_pb2"),
                    importlib.import_module("tandem.v1.generation_pb2_grpc"))
        finally:
            sys.path.remove(folder)


pb2, pb2_grpc = import_stubs()

# Far above what any turn needs: a turn that hangs fails.
LIMIT_SECONDS = processes.LIMIT_SECONDS

GREEDY = {"temperature": 0, "repetition_penalty": 1}
# Of all tokens, each with its probability.
WARM = {"temperature": 0.8, "top_k": 0, "top_p": 1, "repetition_penalty": 1}
# The defaults have a repetition penalty.
PENALTIES = {"presence_penalty": 0.5, "frequency_penalty": 0.3}


class Answer:
    """What came of a turn so far."""

    def __init__(self):
        self.started = None
        self.ids = []
        self.text = ""
        self.logprobs = []
        self.ended = None

    def add(self, event):
        kind = event.WhichOneof("event")
        if kind == "started":
            self.started = event.started
        elif kind == "tokens":
            tokens = event.tokens
            if tokens.first_token != len(self.ids):
                raise AssertionError(f"token {tokens.first_token} follows "
                                     f"{len(self.ids)} tokens")
            self.ids += tokens.token_ids
            self.text += tokens.text
            self.logprobs += [(position.logprob, *(
                (token.token_id, token.logprob)
                for token in position.alternatives))
                for position in tokens.logprobs]
        else:
            self.ended = event.ended
            self.text += event.ended.text


def connect(test, address):
    """A stub that is used until the end of `test`, a case or a class. It has
    a connection of its own: a shared one that is lost stays so for a while."""
    channel = grpc.insecure_channel(
        address, [("grpc.use_local_subchannel_pool", 1)])
    add = getattr(test, "addClassCleanup" if isinstance(test, type)
                  else "addCleanup")
    add(channel.close)
    return pb2_grpc.GenerationServiceStub(channel)


def generate(stub, turn):
    """The answer to a whole turn through Generate."""
    answer = Answer()
    for event in stub.Generate(pb2.GenerateRequest(turn=turn),
                               timeout=LIMIT_SECONDS):
        answer.add(event)
    if not answer.ended:
        raise AssertionError("a turn's events end without `ended`")
    return answer


def converse(stub, turn, **options):
    """The answer to the only turn of a conversation."""
    answer = Answer()
    for event in stub.Converse(iter([pb2.ConverseRequest(start=turn)]),
                               timeout=LIMIT_SECONDS, **options):
        answer.add(event)
    return answer


class Stream:
    """A Converse stream."""

    def __init__(self, stub):
        self._requests = queue.SimpleQueue()
        self._events = stub.Converse(iter(self._requests.get, None),
                                     timeout=LIMIT_SECONDS)

    def send(self, **request):
        self._requests.put(pb2.ConverseRequest(**request))

    def read(self, answer, ids_max=None):
        """Adds events until the turn ends or has so many ids."""
        for event in self._events:
            answer.add(event)
            if answer.ended or len(answer.ids) >= (ids_max or sys.maxsize):
                return
        raise AssertionError("the stream ends within a turn")

    def drop(self):
        """As a client does whose connection breaks."""
        self._events.cancel()
        self._requests.put(None)

    def close(self):
        self._requests.put(None)
        if list(self._events):
            raise AssertionError("events after a turn's end")
