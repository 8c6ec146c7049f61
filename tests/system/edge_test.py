"""The proxy of deploy/edge between clients and a coordinator: what it passes
on, and what it refuses. What attackers do to it: attacks_test.py."""

import select
import socket
import ssl
import threading
import time
import unittest

import grpc

import edge
import processes
import raw_http2
import turns
from turns import pb2

# Longer than the proxy waits for a message that is not a conversation's.
REST_SECONDS = 11
CALLS_MAX = 256
CALLS_OF_CONNECTION_MAX = 100
CONVERSE = "/tandem.v1.GenerationService/Converse"


def status_of(call, *arguments, **options):
    """The error of a call."""
    try:
        answer = call(*arguments, timeout=processes.LIMIT_SECONDS, **options)
        for _ in answer if hasattr(answer, "__iter__") else ():
            pass
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


class EdgeTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = processes.Cluster(drafts=0)
        cls.addClassCleanup(cls.cluster.stop)
        cls.certs = edge.make_certs(cls)
        cls.edge = edge.Edge(cls.certs, cls.cluster.coordinator)
        cls.addClassCleanup(cls.edge.stop)

    def channel(self, **options):
        channel = self.edge.channel(**options)
        self.addCleanup(channel.close)
        return channel

    def turn(self, **options):
        return pb2.TurnRequest(text="Once", options={
            **turns.GREEDY, "max_tokens": 8, **options})

    def test_a_turn_is_the_same_behind_it(self):
        near = turns.connect(self, self.cluster.coordinator)
        far = self.edge.connect(self)
        self.assertEqual(turns.generate(far, self.turn()).text,
                         turns.generate(near, self.turn()).text)

    def test_a_conversation_may_rest(self):
        stream = turns.Stream(self.edge.connect(self))
        answer = turns.Answer()
        stream.send(start=self.turn())
        stream.read(answer)
        time.sleep(REST_SECONDS)
        second = turns.Answer()
        turn = self.turn()
        turn.session_id = answer.started.session_id
        stream.send(start=turn)
        stream.read(second)
        self.assertEqual(second.started.turn, 2)
        stream.close()

    def test_metadata_and_errors_go_through(self):
        stub = self.edge.connect(self)
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        error = status_of(
            stub.Generate,
            pb2.GenerateRequest(turn=pb2.TurnRequest(session_id="none",
                                                     text="Once")),
            metadata=[("traceparent", f"00-{trace}-00f067aa0ba902b7-01")])
        self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        self.assertIn(b"UNKNOWN_SESSION", details)
        self.assertIn(trace.encode(), details)

    def test_health_goes_through_and_nothing_else(self):
        channel = self.channel()
        # HealthCheckRequest of the empty name; HealthCheckResponse SERVING.
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b"", timeout=processes.LIMIT_SECONDS),
                         b"\x08\x01")
        for path in ("/tandem.v1.WorkerService/Describe",
                     "/tandem.v1.WorkerAdminService/ListWorkerModels",
                     "/grpc.health.v1.Health/Watch", "/"):
            error = status_of(channel.unary_unary(path), b"")
            self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED, path)
            self.assertEqual(error.details(),
                             "there is no such method here")

    def test_compressed_messages_are_refused(self):
        stub = turns.pb2_grpc.GenerationServiceStub(
            self.channel(compression=grpc.Compression.Gzip))
        error = status_of(stub.Tokenize,
                          pb2.TokenizeRequest(text="a" * 1000000))
        self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(error.details(), "compressed messages are not taken")

    def test_a_message_that_is_too_long_is_refused(self):
        # The answer is longer than the request.
        stub = turns.pb2_grpc.GenerationServiceStub(self.channel(
            options=[("grpc.max_receive_message_length", 16 << 20)]))
        text = "a" * ((4 << 20) - 100)
        self.assertTrue(stub.Tokenize(pb2.TokenizeRequest(text=text),
                                      timeout=processes.LIMIT_SECONDS))
        error = status_of(stub.Tokenize,
                          pb2.TokenizeRequest(text="a" * (5 << 20)))
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_an_address_has_a_number_of_calls(self):
        refused = threading.Semaphore(0)
        end = threading.Event()

        def requests():
            end.wait()
            yield from ()

        def done(call):
            if call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                refused.release()

        # A connection takes 100.
        calls = []
        try:
            for _ in range(3):
                stub = turns.pb2_grpc.GenerationServiceStub(self.channel(
                    options=[("grpc.use_local_subchannel_pool", 1)]))
                for _ in range(100):
                    calls.append(stub.Converse(requests()))
                    calls[-1].add_done_callback(done)
            for _ in range(300 - CALLS_MAX):
                self.assertTrue(refused.acquire(
                    timeout=processes.LIMIT_SECONDS))
        finally:
            for call in calls:
                call.cancel()
            end.set()
        self.assertFalse(refused.acquire(blocking=False))
        self.assertNotIn("limiting", self.edge.log())

    def connect_from(self, address):
        """A connection of a client at this IPv6 address, as the proxy's first
        part tells the second."""
        plain = socket.socket(socket.AF_UNIX)
        self.addCleanup(plain.close)
        plain.settimeout(processes.LIMIT_SECONDS)
        plain.connect(str(self.edge.socket))
        plain.sendall(f"PROXY TCP6 {address} ::1 1 2\r\n".encode())
        context = ssl.create_default_context(
            cafile=self.certs / "client/ca.crt")
        context.set_alpn_protocols(["h2"])
        secured = context.wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(secured.close)
        return raw_http2.Connection(secured)

    def test_a_network_of_ipv6_counts_as_an_address(self):
        connections = [self.connect_from(f"2001:db8::{number}:1")
                       for number in range(1, 4)]
        for connection in connections:
            for stream in range(CALLS_OF_CONNECTION_MAX):
                connection.begin_call(2 * stream + 1, CONVERSE)
        sockets = {connection.socket: connection for connection in connections}
        # Whichever calls came last.
        while (sum(len(it.reset) for it in connections)
               < 3 * CALLS_OF_CONNECTION_MAX - CALLS_MAX):
            ready, _, _ = select.select(list(sockets), [], [],
                                        processes.LIMIT_SECONDS)
            self.assertTrue(ready, "too few calls are refused")
            for found in ready:
                sockets[found].receive()
                while found.pending():
                    sockets[found].receive()
                self.assertFalse(sockets[found].is_closed)
        # Others are in no network of it.
        turns.generate(self.edge.connect(self), self.turn())

    def test_a_proxy_without_descriptors(self):
        narrow = edge.Edge(self.certs, self.cluster.coordinator,
                           descriptors=64)
        self.addCleanup(narrow.stop)
        channel = narrow.channel()
        self.addCleanup(channel.close)
        stub = turns.pb2_grpc.GenerationServiceStub(channel)
        end = threading.Event()
        ended = threading.Semaphore(0)

        def requests():
            end.wait()
            yield from ()

        calls = [stub.Converse(requests()) for _ in range(64)]
        try:
            for call in calls:
                call.add_done_callback(lambda _: ended.release())
            self.assertTrue(ended.acquire(timeout=processes.LIMIT_SECONDS))
            refused = {call.code() for call in calls if not call.is_active()}
        finally:
            for call in calls:
                call.cancel()
            end.set()
        self.assertEqual(refused, {grpc.StatusCode.UNAVAILABLE})

    def test_a_coordinator_that_is_gone(self):
        alone = edge.Edge(self.certs, "127.0.0.1:1")
        self.addCleanup(alone.stop)
        stub = alone.connect(self)
        error = status_of(stub.GetServerInfo, pb2.GetServerInfoRequest())
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(error.details(),
                         "no way to the coordinator now; try later")

    def test_wrong_arguments_are_one_line(self):
        for arguments, why in (
                (["--listen", "a;b"], 'edge: --listen: "a;b" is no address'),
                (["--cert", "/nonexistent"],
                 'edge: --cert "/nonexistent": no such file'),
                (["--nothing", "x"], "edge: there is no option --nothing"),
                ([], "edge: --listen is missing")):
            ended = edge.run(*arguments)
            self.assertEqual(ended.returncode, 2)
            self.assertIn(why, ended.stderr.decode().splitlines()[-1])


class MutualTlsTest(unittest.TestCase):
    """A coordinator that takes certificates alone, and clients who must show
    one."""

    @classmethod
    def setUpClass(cls):
        cls.certs = edge.make_certs(cls)
        cls.cluster = processes.Cluster(tls=cls.server_flags, drafts=0)
        cls.addClassCleanup(cls.cluster.stop)
        cls.edge = edge.Edge(
            cls.certs, cls.cluster.coordinator, "--client-ca",
            cls.certs / "client/ca.crt", "--coordinator-ca",
            cls.certs / "client/ca.crt", "--coordinator-name", "localhost",
            "--coordinator-cert", cls.certs / "client/tls.crt",
            "--coordinator-key", cls.certs / "client/tls.key")
        cls.addClassCleanup(cls.edge.stop)

    @classmethod
    def server_flags(cls, name):
        owner = "coordinator" if name == "coordinator" else "worker"
        files = cls.certs / owner
        flags = [f"--tls-cert={files}/tls.crt", f"--tls-key={files}/tls.key",
                 f"--tls-client-ca={files}/ca.crt"]
        if owner == "coordinator":
            flags += [f"--worker-cert={files}/tls.crt",
                      f"--worker-key={files}/tls.key",
                      f"--worker-ca={files}/ca.crt"]
        else:
            flags.append("--allow-caller=coordinator")
        return flags

    def test_a_turn(self):
        stub = self.edge.connect(self, "client")
        processes.wait_until(
            lambda: stub.ListModels(
                pb2.ListModelsRequest(),
                timeout=processes.LIMIT_SECONDS).models,
            "the coordinator has its worker")
        answer = turns.generate(stub, pb2.TurnRequest(
            text="Once", options={**turns.GREEDY, "max_tokens": 8}))
        self.assertEqual(len(answer.ids), 8)

    def test_a_client_without_a_certificate(self):
        stub = self.edge.connect(self)
        error = status_of(stub.ListModels, pb2.ListModelsRequest())
        self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(error.details(),
                         "a certificate of the client is needed here")


if __name__ == "__main__":
    processes.main()
