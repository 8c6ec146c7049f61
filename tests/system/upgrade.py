"""Two versions of tandem in one service, as while a new one is rolled out: the
version before, built of its tag, and this one. Texts are the same whichever
process is of which version, turns go on while each is replaced, and this
version's coordinator goes on with the sessions that the other one stored.

TANDEM_UPGRADE_FROM names another commit than the newest tag v*. Its programs
are built in build/upgrade/COMMIT, once."""

import itertools
import os
import subprocess
import sys
import threading
import time
import unittest

import processes
from resuming_client import ResumingClient
from stored_cluster import StoredCluster
import turns

PROGRAMS = ("tandem", "tandem-worker", "tandem-coordinator")
# A turn of some seconds at most, that is long enough to be moved twice.
TOKENS = 900
TURNS = [dict(turns.GREEDY, seed=1), dict(turns.WARM, seed=2),
         dict(turns.WARM, seed=3, draft_length=4),
         dict(turns.PENALTIES, seed=4)]


def git(*arguments):
    return subprocess.run(
        ["git", "-C", processes.SOURCE_DIR, *arguments], check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def commit_before():
    """The commit that is upgraded from; None without one."""
    name = os.environ.get("TANDEM_UPGRADE_FROM")
    if not name:
        name = git("describe", "--tags", "--match", "v*",
                   "--abbrev=0").stdout.decode().strip()
    found = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return found.stdout.decode().strip() if name else None


def build(commit):
    """The folder of the programs of that commit."""
    folder = processes.BINARY_DIR.parent / "upgrade" / commit
    source, binary = folder / "source", folder / "build"
    if not source.exists():
        source.mkdir(parents=True)
        archive = subprocess.Popen(
            ["git", "-C", processes.SOURCE_DIR, "archive", commit],
            stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", source], stdin=archive.stdout,
                       check=True)
        if archive.wait():
            sys.exit(f"git archive {commit} failed")
    subprocess.run(["cmake", "-S", source, "-B", binary, "-G", "Ninja",
                    "-DCMAKE_BUILD_TYPE=Release"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", binary, "--target", *PROGRAMS],
                   check=True, stdout=sys.stderr)
    return binary / "bin"


class MixedCluster(StoredCluster):
    """`old` has the names of the processes that are of the version before."""

    old_bin = None  # a folder

    def __init__(self, old, **options):
        self.old = set(old)
        super().__init__(**options)

    def start(self, name, program, *arguments):
        if name in self.old:
            program = self.old_bin / program
        super().start(name, program, *arguments)

    def upgrade(self, name):
        """SIGTERM, as a rollout has it, and the new version."""
        self.old.discard(name)
        process = self.processes[name]
        process.terminate()
        process.wait(processes.LIMIT_SECONDS)
        if name in self.coordinators:
            self.start_coordinator(name)
        else:
            self.start_worker(name)


def start(options, session_id="", tokens=TOKENS):
    return turns.pb2.TurnRequest(
        session_id=session_id, text="Once upon a time",
        options=dict(options, max_tokens=tokens, ignore_eos=True))


class UpgradeTest(unittest.TestCase):

    def texts(self, cluster):
        client = ResumingClient(cluster.addresses())
        return [client.turn(start(options)).result() for options in TURNS]

    def test_any_mixture_gives_the_same_texts(self):
        names = ("target", "draft", "coordinator")
        wanted = None
        for count in range(len(names) + 1):
            for old in itertools.combinations(names, count):
                with self.subTest(old=old):
                    cluster = MixedCluster(old)
                    try:
                        texts = self.texts(cluster)
                    finally:
                        cluster.stop()
                    wanted = wanted or texts
                    self.assertEqual(texts, wanted)

    def test_either_command_line_speaks_to_either_service(self):
        for old in ((), ("target", "draft", "coordinator")):
            cluster = MixedCluster(old)
            self.addCleanup(cluster.stop)
            outputs = [subprocess.run(
                [folder / "tandem", "generate", "Once upon a time", "--seed",
                 "5"], env={**os.environ, **cluster.environment},
                stdout=subprocess.PIPE, timeout=processes.LIMIT_SECONDS,
                check=True).stdout for folder in (cluster.old_bin,
                                                  processes.BIN)]
            self.assertEqual(outputs[0], outputs[1])
            self.assertTrue(outputs[0])

    def test_turns_go_on_while_all_is_replaced(self):
        cluster = MixedCluster(("target", "target2", "draft", "coordinator"),
                               targets=2)
        self.addCleanup(cluster.stop)
        wanted = self.texts(cluster)
        results = [[] for _ in TURNS]
        is_over = threading.Event()

        def run(options, into):
            client = ResumingClient(cluster.addresses())
            while not is_over.is_set():
                into.append(client.turn(start(options)).result())

        threads = [threading.Thread(target=run, args=pair, daemon=True)
                   for pair in zip(TURNS, results)]
        for thread in threads:
            thread.start()
        for name in ("draft", "target", "target2", "coordinator"):
            time.sleep(1)
            cluster.upgrade(name)
        time.sleep(1)
        is_over.set()
        for thread in threads:
            thread.join(processes.LIMIT_SECONDS)
            self.assertFalse(thread.is_alive())
        for result, want in zip(results, wanted):
            self.assertTrue(result)
            for each in result:
                self.assertEqual(each, want)

    def test_stored_sessions_go_on_after_the_upgrade(self):
        def conversation(between):
            cluster = MixedCluster(("target", "draft", "coordinator"))
            try:
                client = ResumingClient(cluster.addresses())
                first = client.turn(start(TURNS[1], tokens=40))
                between(cluster)
                second = client.turn(start(
                    TURNS[3], first.started.session_id, tokens=40), 2)
                return first.result(), second.result()
            finally:
                cluster.stop()

        wanted = conversation(lambda cluster: None)
        self.assertEqual(
            conversation(lambda cluster: cluster.upgrade("coordinator")),
            wanted)


def main():
    commit = commit_before()
    if commit is None:
        print("no tag v* to upgrade from: set TANDEM_UPGRADE_FROM")
        sys.exit(77)
    MixedCluster.old_bin = build(commit)
    processes.main()


if __name__ == "__main__":
    main()
