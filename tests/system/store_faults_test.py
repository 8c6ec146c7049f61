"""Turns whose coordinator is started again, whose session another coordinator
takes over, or whose store is away; and stores that are refused at start."""

import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

import grpc

import processes
from postgres import PostgresServer
from resuming_client import Follower, History, ResumingClient, details_of
from stored_cluster import CostCluster
import turns

PASS_MS = 20


def start(tokens, **more):
    turn = dict({"text": "Once upon a time"}, **more)
    return turns.pb2.ConverseRequest(start=turns.pb2.TurnRequest(
        options={"max_tokens": tokens, "ignore_eos": True}, **turn))


def resume(history):
    return turns.pb2.ConverseRequest(resume=history.resume_request().resume)


def wanted(*requests):
    """Results of a conversation's turns without faults and without waiting."""
    cluster = CostCluster(pass_ms=0)
    try:
        client = ResumingClient(cluster.addresses())
        results = []
        session_id = ""
        for request in requests:
            turn = turns.pb2.TurnRequest()
            turn.CopyFrom(request.start)
            turn.session_id = session_id
            turn.timeout_ms = 0
            history = client.turn(turn)
            session_id = history.started.session_id
            results.append(history.result())
        return results
    finally:
        cluster.stop()


class OneCoordinatorTest(unittest.TestCase):

    def setUp(self):
        self.cluster = CostCluster(pass_ms=PASS_MS)
        self.addCleanup(self.cluster.stop)

    def stub(self):
        return turns.connect(self, self.cluster.addresses()[0])

    def restart(self):
        self.cluster.kill_coordinator()
        time.sleep(0.5)
        self.cluster.start_coordinator()
        self.cluster.wait_for_workers(1, 0)

    def test_a_deadline_counts_on(self):
        stream = Follower(self.stub(), start(400, timeout_ms=3000))
        history = stream.wait_for(75)
        self.restart()
        stream.finish()
        stream = Follower(self.stub(), resume(history), history)
        history = stream.finish()
        self.assertIsNone(stream.error)
        self.assertEqual(history.ended.finish_reason,
                         turns.pb2.FINISH_REASON_DEADLINE)
        # 3 s of passes, and those of up to 32 tokens and 200 ms that were not
        # stored; without what was stored it would be 75 tokens more.
        self.assertLess(len(history.ids), 3000 / PASS_MS + 32 + 10)
        self.assertEqual(history.ids,
                         wanted(start(400))[0]["ids"][:len(history.ids)])

    def test_a_turn_is_cancelled_after_a_restart(self):
        stream = Follower(self.stub(), start(400))
        history = stream.wait_for(40)
        self.restart()
        stream.finish()
        stream = Follower(self.stub(), resume(history), history)
        stream.wait_for(60)
        stream.cancel_turn()
        history = stream.finish()
        self.assertIsNone(stream.error)
        self.assertEqual(history.ended.finish_reason,
                         turns.pb2.FINISH_REASON_CANCELLED)
        self.assertEqual(history.ids,
                         wanted(start(400))[0]["ids"][:len(history.ids)])
        # The end is the same wherever it is asked for again.
        for again in range(2):
            if again:
                self.restart()
            seen = History()
            seen.started = history.started
            stream = Follower(self.stub(), resume(seen), seen)
            stream.finish()
            self.assertIsNone(stream.error)
            self.assertEqual(seen.result(), history.result())

    def test_a_resume_takes_the_turn_from_a_stream_that_seems_alive(self):
        first = Follower(self.stub(), start(100))
        history = first.wait_for(20)
        second = Follower(self.stub(), resume(history), history)
        first.finish()
        self.assertEqual(first.error.code(), grpc.StatusCode.ABORTED)
        self.assertEqual(second.finish().result(), wanted(start(100))[0])


class SharedStoreTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.database = PostgresServer()
        cls.addClassCleanup(cls.database.remove)
        cls.cluster = CostCluster(cls.database.store_flags(),
                                  pass_ms=PASS_MS, coordinators=2)
        cls.addClassCleanup(cls.cluster.stop)

    def setUp(self):
        self.stubs = [turns.connect(self, address)
                      for address in self.cluster.addresses()]

    def check_lost(self, stream, since):
        stream.finish()
        self.assertEqual(stream.error.code(), grpc.StatusCode.ABORTED)
        self.assertIn("resumed elsewhere", stream.error.details())
        # A driver asks about once a second whether it still is one.
        self.assertLess(time.monotonic() - since, 3)

    def test_a_session_moves_and_comes_back(self):
        next_turn = start(10, text=" and then")
        results = wanted(start(200), next_turn, next_turn)
        stream = Follower(self.stubs[0], start(200))
        for place in (1, 0):
            history = stream.wait_for(len(stream.history().ids) + 20)
            earlier = stream
            since = time.monotonic()
            stream = Follower(self.stubs[place], resume(history), history)
            self.check_lost(earlier, since)
            self.assertTrue(stream.is_alive())
        history = stream.finish()
        self.assertIsNone(stream.error)
        self.assertEqual(history.result(), results[0])
        # Each coordinator has had the session, and the other one goes on.
        for place, result in ((1, results[1]), (0, results[2])):
            request = turns.pb2.ConverseRequest()
            request.CopyFrom(next_turn)
            request.start.session_id = history.started.session_id
            stream = Follower(self.stubs[place], request)
            self.assertEqual(stream.finish().result(), result)
        # The one before is asked for a turn that it has not seen.
        seen = History()
        seen.started = stream.history().started
        stream = Follower(self.stubs[1], resume(seen), seen)
        self.assertEqual(stream.finish().result(), results[2])

    def refusal(self, first):
        """Reason, and seconds until it came, of a turn that can not begin."""
        begin = time.monotonic()
        stream = Follower(self.stubs[0], first)
        stream.finish()
        self.assertEqual(stream.error.code(), grpc.StatusCode.UNAVAILABLE)
        reason, delay = details_of(stream.error)
        self.assertGreater(delay, 0)
        return reason, time.monotonic() - begin

    def test_the_store_is_away(self):
        result = wanted(start(800))[0]
        stream = Follower(self.stubs[0], start(800))
        stream.wait_for(20)
        self.database.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        before = len(stream.history().ids)
        try:
            reason, waited = self.refusal(start(5))
            self.assertEqual(reason, "STORE_UNAVAILABLE")
            self.assertGreater(waited, 1)
            elsewhere = History()
            elsewhere.started = turns.pb2.TurnStarted(session_id="0" * 32,
                                                      turn=1)
            self.assertEqual(self.refusal(resume(elsewhere))[0],
                             "STORE_UNAVAILABLE")
            time.sleep(max(0, begin + 10 - time.monotonic()))
        finally:
            self.database.send_signal(signal.SIGCONT)
        self.assertIsNone(stream.error)
        self.assertGreater(len(stream.history().ids) - before, 100)
        gaps = [b - a for a, b in zip(stream.times, stream.times[1:])]
        self.assertLess(max(gaps), 1)
        # As before.
        client = ResumingClient(self.cluster.addresses()[:1])
        client.turn(start(5).start)
        self.assertEqual(stream.finish().result(), result)

    def test_an_end_is_told_when_it_is_stored(self):
        """Who has heard of it finds the whole turn at any coordinator."""
        next_turn = start(10, text=" and then")
        results = wanted(start(60), next_turn)
        stream = Follower(self.stubs[0], start(60))
        stream.wait_for(20)
        self.database.stop(signal.SIGKILL)
        history = stream.finish()
        self.assertEqual(len(history.ids), 60)
        self.assertIsNone(history.ended)
        self.assertEqual(details_of(stream.error)[0], "STORE_UNAVAILABLE")
        self.database.start()

        def ends():
            stream = Follower(self.stubs[0], resume(history), history)
            stream.finish()
            if stream.error is not None:
                self.assertEqual(details_of(stream.error)[0],
                                 "STORE_UNAVAILABLE")
            return history.ended is not None

        processes.wait_until(ends, "the end is stored")
        self.assertEqual(history.result(), results[0])
        next_turn.start.session_id = history.started.session_id
        stream = Follower(self.stubs[1], next_turn)
        self.assertEqual(stream.finish().result(), results[1])


class RefusalTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def check(self, flags, *parts):
        address = self.folder / "address"
        done = subprocess.run(
            [processes.BIN / "tandem-coordinator", "--target", "127.0.0.1:1",
             "--listen", "127.0.0.1:0", "--address-file", address, *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=processes.LIMIT_SECONDS, check=False)
        message = done.stderr.decode()
        self.assertEqual(done.returncode, 2, message)
        self.assertEqual(len(message.splitlines()), 1, message)
        self.assertFalse(address.exists())
        for part in parts:
            self.assertIn(part, message)
        return message

    def test_folders(self):
        open_folder = self.folder / "open"
        open_folder.mkdir()
        open_folder.chmod(0o755)
        self.check(["--state-dir", open_folder], "chmod 700")
        newer = self.folder / "newer"
        newer.mkdir(mode=0o700)
        with sqlite3.connect(newer / "sessions.sqlite") as file:
            file.execute("CREATE TABLE tandem_schema (version BIGINT NOT NULL)")
            file.execute("INSERT INTO tandem_schema VALUES (99)")
        (newer / "sessions.sqlite").chmod(0o600)
        self.check(["--state-dir", newer], "version 99", "newer version")
        (newer / "sessions.sqlite").write_bytes(b"no database" * 100)
        self.check(["--state-dir", newer], "sessions.sqlite")

    def test_databases(self):
        database = PostgresServer()
        self.addCleanup(database.remove)

        def check(address, *parts, flags=()):
            return self.check([*database.store_flags(address), *flags], *parts)

        check(database.address("nowhere"), "createdb")
        database.make_database("latin",
                               "ENCODING 'LATIN1' LOCALE 'C'")
        check(database.address("latin"), "UTF8")
        database.make_database("newer")
        database.execute("CREATE TABLE tandem_schema (version BIGINT NOT NULL)",
                         "newer")
        database.execute("INSERT INTO tandem_schema VALUES (99)", "newer")
        check(database.address("newer"), "version 99", "newer version")
        database.ask_for_passwords("other", "right")
        file = self.folder / "password"
        file.write_text("wrong\n")
        file.chmod(0o600)
        other = database.address(user="other")
        check(other, "put the password in a file")
        check(other, str(file), flags=["--store-password-file", file])
        message = check(other.replace("other@", "other:secret@"), "file")
        self.assertNotIn("secret", message)


if __name__ == "__main__":
    processes.main()
