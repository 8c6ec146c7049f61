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
        # (id, logprob, (id, logprob) of each alternative ...) of its tokens.
        self.prompt = []
        self.ended = None
        # Of a reply in parts; calls as [id, name, arguments].
        self.content = ""
        self.reasoning = ""
        self.calls = []

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
            self.add_parts(tokens.reply)
            self.logprobs += [(position.logprob, *(
                (token.token_id, token.logprob)
                for token in position.alternatives))
                for position in tokens.logprobs]
        elif kind == "prompt":
            self.add_prompt(event.prompt)
        else:
            self.ended = event.ended
            self.text += event.ended.text
            self.add_parts(event.ended.reply)

    def add_parts(self, reply):
        self.content += reply.content
        self.reasoning += reply.reasoning
        for call in reply.tool_calls:
            if call.index == len(self.calls):
                self.calls.append([call.id, call.name, ""])
            self.calls[call.index][2] += call.arguments

    def add_prompt(self, prompt):
        if self.ids or prompt.first_token != len(self.prompt):
            raise AssertionError(f"token {prompt.first_token} of the prompt "
                                 f"follows {len(self.prompt)} of it and "
                                 f"{len(self.ids)} tokens")
        self.prompt += [(token_id, position.logprob, *(
            (token.token_id, token.logprob)
            for token in position.alternatives))
            for token_id, position in zip(prompt.token_ids, prompt.logprobs)]


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


def outlive_a_target(cluster, stub, turn, ids):
    """The answer to a turn whose target is killed when `ids` ids have come, and
    started again."""
    stream = Stream(stub)
    answer = Answer()
    stream.send(start=turn)
    stream.read(answer, ids_max=ids)
    # One that has ended already proves nothing: it moved nowhere.
    if not answer.ended:
        name = max(cluster.targets, key=lambda name: cluster.metrics(name)[0][
            'tandem_kv_pages{state="reserved"}'])
        cluster.processes[name].kill()
        cluster.processes[name].wait()
        stream.read(answer)
        cluster.start_worker(name)
        cluster.wait_for_workers(len(cluster.targets), len(cluster.drafts))
    stream.close()
    return answer


class Stream:
    """A Converse stream."""

    def __init__(self, stub):
        self._requests = queue.SimpleQueue()
        self._events = stub.Converse(iter(self._requests.get, None),
                                     timeout=LIMIT_SECONDS)

    def send(self, **request):
        self._requests.put(pb2.ConverseRequest(**request))

    def events(self):
        """Events as they come; those that are not taken stay."""
        return self._events

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
