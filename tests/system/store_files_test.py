"""The folder of the SQLite store on a disk that is full, and with a file that
is cut or whose bits are flipped: the coordinator never ends by it, and nobody
gets another text.

TANDEM_FAULT_SEED repeats what is drawn, TANDEM_DAMAGES sets the number of
files.
"""

import collections
import os
import pathlib
import random
import resource
import shutil
import subprocess
import tempfile
import unittest

import grpc

import processes
from resuming_client import Follower, History, ResumingClient, details_of
from store_faults_test import start, wanted
from stored_cluster import CostCluster
import turns

DAMAGES = int(os.environ.get("TANDEM_DAMAGES", "16"))
PASS_MS = 5
TOKENS = 20000  # of a turn that is cancelled before
DISK_BYTES = 2 << 20
SESSIONS = 4


class FullDiskTest(unittest.TestCase):

    def check(self, cluster, fill, free):
        """A turn goes on while the disk is full, those that would begin are
        refused, until there is room again."""
        stub = turns.connect(self, cluster.addresses()[0])
        stream = Follower(stub, start(TOKENS))
        stream.wait_for(20)
        fill()
        refused = []

        def is_refused():
            other = Follower(stub, start(1))
            other.finish()
            if other.error is not None:
                self.assertEqual(other.error.code(),
                                 grpc.StatusCode.UNAVAILABLE)
                refused.append(details_of(other.error))
            return refused

        # What is left of a page takes some turns.
        processes.wait_until(is_refused, "a turn is refused")
        self.assertEqual(refused[0][0], "STORE_UNAVAILABLE")
        self.assertGreater(refused[0][1], 0)
        self.assertIsNone(stream.error)
        before = len(stream.history().ids)
        self.assertGreater(len(stream.wait_for(before + 50).ids), before)
        free()
        client = ResumingClient(cluster.addresses())
        later = client.turn(start(5).start)
        self.assertEqual(later.result(), wanted(start(5))[0])
        stream.cancel_turn()
        history = stream.finish()
        self.assertIsNone(stream.error)
        self.assertEqual(history.ended.finish_reason,
                         turns.pb2.FINISH_REASON_CANCELLED)
        count = len(history.ids)
        self.assertEqual(history.ids, wanted(start(count))[0]["ids"])
        gaps = [b - a for a, b in zip(stream.times, stream.times[1:])]
        self.assertLess(max(gaps[:-1]), 1)  # the last one is that of the end
        self.assertIsNone(cluster.processes["coordinator"].poll())
        self.assertIn("the store", cluster.log("coordinator"))
        # And all of it is stored.
        cluster.kill_coordinator()
        cluster.start_coordinator()
        cluster.wait_for_workers(1, 0)
        seen = History()
        seen.started = history.started
        again = Follower(turns.connect(self, cluster.addresses()[0]),
                         seen.resume_request(), seen)
        again.finish()
        self.assertIsNone(again.error)
        self.assertEqual(seen.result(), history.result())

    def test_a_small_disk(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-disk."))
        self.addCleanup(folder.rmdir)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs",
             folder], stderr=subprocess.PIPE, check=False)
        if mounted.returncode != 0:
            self.skipTest("no tmpfs can be mounted here: "
                          f"{mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        cluster = CostCluster(["--state-dir", folder / "state"],
                              pass_ms=PASS_MS)
        self.addCleanup(cluster.stop)
        filler = folder / "filler"

        def fill():
            with open(filler, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:  # no space left
                    pass

        self.check(cluster, fill, filler.unlink)

    def test_files_may_not_grow(self):
        """Without a disk of its own: the limit of file sizes."""
        cluster = CostCluster(pass_ms=PASS_MS)
        self.addCleanup(cluster.stop)
        pid = cluster.processes["coordinator"].pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)

        def fill():
            size = max(path.stat().st_size for path in
                       (cluster.folder / "state").iterdir())
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, limits[1]))

        self.check(cluster, fill,
                   lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE,
                                            limits))


# What a client may hear of a session whose files are damaged. Only a log may
# end where it is damaged, so that the last turn is none: SQLite can not know it
# from one that was cut by a kill. ABORTED: the coordinator asks each 0.8 s
# whether a session is still its own, and finds another id in the damaged row.
ANSWERS = {"sessions.sqlite": {"text", "DATA_LOSS", "NOT_FOUND", "ABORTED"},
           "sessions.sqlite-wal": {"text", "NOT_FOUND", "FAILED_PRECONDITION"},
           "sessions.sqlite-shm": {"text"}}


class Damage:
    """One file of a folder, cut or with a bit flipped."""

    def __init__(self, chance, folder):
        files = sorted(path for path in folder.iterdir()
                       if path.stat().st_size)
        self.file = chance.choice(files)
        data = bytearray(self.file.read_bytes())
        if chance.random() < 0.4:
            size = chance.choice((0, 1, 100, chance.randrange(len(data)),
                                  chance.randrange(len(data)) // 512 * 512))
            self.what = f"{self.file.name} cut from {len(data)} to {size}"
            del data[size:]
        else:
            # Most bytes are 0, and nobody's.
            at = chance.choice([i for i, byte in enumerate(data) if byte])
            bit = chance.randrange(8)
            self.what = f"{self.file.name}: bit {bit} of byte {at} flipped"
            data[at] ^= 1 << bit
        self.file.write_bytes(data)


class DamagedFilesTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = CostCluster(pass_ms=0)
        cls.addClassCleanup(cls.cluster.stop)
        client = ResumingClient(cls.cluster.addresses())
        cls.requests = [start(40), start(30, text=" and then")]
        cls.wanted = wanted(*cls.requests)
        cls.sessions = []
        for _ in range(SESSIONS):
            first = client.turn(cls.requests[0].start)
            second = turns.pb2.TurnRequest()
            second.CopyFrom(cls.requests[1].start)
            second.session_id = first.started.session_id
            cls.sessions.append(client.turn(second, number=2).started)
        folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        cls.addClassCleanup(folder.cleanup)
        # As a kill leaves them, with a log, and as an end does, without.
        cls.saved = {}
        for name, end in (("killed", cls.cluster.kill_coordinator),
                          ("ended", cls.end_coordinator)):
            end()
            cls.saved[name] = pathlib.Path(folder.name) / name
            shutil.copytree(cls.cluster.folder / "state", cls.saved[name])
            cls.cluster.start_coordinator()
        cls.cluster.kill_coordinator()

    @classmethod
    def end_coordinator(cls):
        process = cls.cluster.processes["coordinator"]
        process.terminate()
        process.wait(processes.LIMIT_SECONDS)

    def starts(self):
        """False where the coordinator refuses the file, as it should."""
        log = self.cluster.folder / "coordinator.log"
        log.unlink(missing_ok=True)
        self.cluster.begin_coordinator("coordinator")
        process = self.cluster.processes["coordinator"]
        try:
            self.cluster.address("coordinator")
        except AssertionError:
            self.assertEqual(process.wait(), 2, log.read_text())
            message = log.read_text().splitlines()[-1]
            self.assertRegex(message, "tandem-coordinator: .*sessions.sqlite")
            return False
        self.cluster.wait_for_workers(1, 0)
        return True

    def read(self, stub, started):
        """The session's last turn: "text", or why there is none."""
        seen = History()
        seen.started = started
        stream = Follower(stub, seen.resume_request(), seen)
        stream.finish()
        if stream.error is None:
            self.assertEqual(seen.result(), self.wanted[1])
            return "text"
        return stream.error.code().name

    def read_all(self, damage):
        if not self.starts():
            return ["refused at start"]
        stub = turns.connect(self, self.cluster.addresses()[0])
        found = [self.read(stub, each) for each in self.sessions]
        log = self.cluster.log("coordinator")
        self.assertLessEqual(set(found), ANSWERS[damage.file.name], log)
        self.assertIsNone(self.cluster.processes["coordinator"].poll(), log)
        return found

    def check(self, chance):
        """What came of one damaged file."""
        state = self.cluster.folder / "state"
        shutil.rmtree(state)
        shutil.copytree(self.saved[chance.choice(sorted(self.saved))], state)
        damage = Damage(chance, state)
        with self.subTest(damage=damage.what):
            try:
                return self.read_all(damage)
            finally:
                self.cluster.kill_coordinator()
        return []

    def test_damaged_files(self):
        seed = int(os.environ.get("TANDEM_FAULT_SEED",
                                  random.randrange(10**9)))
        print(f"TANDEM_FAULT_SEED={seed}", flush=True)
        chance = random.Random(seed)
        found = collections.Counter()
        for _ in range(DAMAGES):
            found.update(self.check(chance))
        print(dict(found), flush=True)
        self.assertGreater(found["text"], 0)
        self.assertGreater(found["refused at start"], 0)


if __name__ == "__main__":
    processes.main()
