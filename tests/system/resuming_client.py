"""A client whose turns outlive servers: it resumes them by counts, at any of
several addresses, and checks what it gets."""

import copy
import importlib
import random
import subprocess
import sys
import tempfile
import threading
import time

import grpc

import processes
import turns


def import_errors():
    """Modules of google.rpc's messages, made from proto/."""
    proto = processes.SOURCE_DIR / "proto/google/rpc"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["protoc", "-I", proto, f"--python_out={folder}",
             proto / "status.proto", proto / "error_details.proto"],
            check=True)
        sys.path.insert(0, folder)
        try:
            return (importlib.import_module("status_pb2"),
                    importlib.import_module("error_details_pb2"))
        finally:
            sys.path.remove(folder)


status_pb2, error_details_pb2 = import_errors()

# gRPC's own statuses, without details, are lost connections.
LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
BACKOFF_SECONDS = (0.02, 0.5)


def details_of(error):
    """Reason ("" of an error that the service did not make) and RetryInfo's
    seconds, or None."""
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    delay = None
    for detail in status.details:
        detail.Unpack(info)
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    return info.reason, delay


class History(turns.Answer):
    """What came of a turn over all its streams: each token once, in order, one
    end and nothing after it, and always the same beginning."""

    def add(self, event):
        if self.ended is not None:
            raise AssertionError(f"after the end came {event}")
        before = self.started
        super().add(event)
        if before not in (None, self.started):
            raise AssertionError(f"{before} became {self.started}")

    def copy(self):
        other = copy.copy(self)
        other.ids, other.logprobs = list(self.ids), list(self.logprobs)
        return other

    def resume_request(self):
        return turns.pb2.ConverseRequest(resume=turns.pb2.ResumeRequest(
            session_id=self.started.session_id, turn=self.started.turn,
            tokens_received=len(self.ids),
            text_bytes_received=len(self.text.encode())))

    def result(self):
        """What is the same in a run without faults."""
        return {"ids": self.ids, "text": self.text, "logprobs": self.logprobs,
                "turn": self.started.turn,
                "prompt_tokens": self.started.prompt_tokens,
                "reason": self.ended.finish_reason,
                "usage": (self.ended.usage.prompt_tokens,
                          self.ended.usage.generated_tokens)}


class ResumingClient:
    """One thread's. `chance` draws the address of each stream."""

    def __init__(self, addresses, chance=None):
        self._addresses = addresses
        self._chance = chance or random.Random(0)
        self.resumes = 0
        self.resumed_elsewhere = 0

    def turn(self, start, number=1):
        """The history of a whole turn, the session's `number`-th."""
        history = History()
        first = turns.pb2.ConverseRequest(start=start)
        give_up = time.monotonic() + processes.LIMIT_SECONDS
        wait = BACKOFF_SECONDS[0]
        while True:
            tokens = len(history.ids)
            try:
                self._stream(first, history)
                return history
            except grpc.RpcError as error:
                if history.ended is not None:
                    return history  # the status of a stream without a turn
                first = self._next_request(error, first, start, number,
                                           history)
            if time.monotonic() > give_up:
                raise AssertionError("the turn does not go on")
            if len(history.ids) > tokens:
                wait = BACKOFF_SECONDS[0]
            time.sleep(wait * self._chance.uniform(0.5, 1.5))
            wait = min(2 * wait, BACKOFF_SECONDS[1])

    def _stream(self, first, history):
        # A channel of its own: one that found nobody waits for longer and
        # longer.
        with grpc.insecure_channel(
                self._chance.choice(self._addresses),
                [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = turns.pb2_grpc.GenerationServiceStub(channel)
            for event in stub.Converse(iter([first]),
                                       timeout=processes.LIMIT_SECONDS):
                history.add(event)
        if history.ended is None:
            raise AssertionError("a stream ends with OK before its turn")

    def _next_request(self, error, first, start, number, history):
        """After an error that may pass; others fail."""
        reason, delay = details_of(error)
        code = error.code()
        if history.started is None and first.HasField("resume") and (
                code == grpc.StatusCode.FAILED_PRECONDITION):
            return turns.pb2.ConverseRequest(start=start)  # it never began
        if code == grpc.StatusCode.ABORTED:
            self.resumed_elsewhere += 1
        elif delay is None and reason != "DRAINING" and (
                reason or code not in LOST):
            raise error
        self.resumes += 1
        if history.started is not None:
            return history.resume_request()
        if number == 1:
            return first  # nobody knows the id of a session that it may have
        return turns.pb2.ConverseRequest(resume=turns.pb2.ResumeRequest(
            session_id=start.session_id, turn=number))


class Follower(threading.Thread):
    """Reads one stream to its end, in a thread of its own. `history` is what
    its client has already."""

    def __init__(self, stub, first, history=None):
        super().__init__(daemon=True)
        self.error = None
        self.times = []  # when events came
        self._history = history or History()
        self._lock = threading.Lock()
        self._cancels = False
        self._wakes = threading.Event()
        self._events = stub.Converse(self._requests(first),
                                     timeout=processes.LIMIT_SECONDS)
        self.start()

    def _requests(self, first):
        yield first
        self._wakes.wait()
        if self._cancels:
            yield turns.pb2.ConverseRequest(cancel=turns.pb2.CancelRequest())

    def run(self):
        try:
            for event in self._events:
                with self._lock:
                    self._history.add(event)
                    self.times.append(time.monotonic())
                if self._history.ended:
                    self._wakes.set()
        except grpc.RpcError as error:
            self.error = error
        self._wakes.set()

    def history(self):
        """What has come so far."""
        with self._lock:
            return self._history.copy()

    def cancel_turn(self):
        self._cancels = True
        self._wakes.set()

    def wait_for(self, tokens):
        processes.wait_until(
            lambda: len(self.history().ids) >= tokens or not self.is_alive(),
            f"{tokens} tokens")
        return self.history()

    def finish(self):
        """What came, after the stream's end."""
        self.join(processes.LIMIT_SECONDS)
        if self.is_alive():
            raise AssertionError("the stream does not end")
        return self._history
