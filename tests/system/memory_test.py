"""Workers and `tandem run` take the memory and the processors that there are:
in control groups with limits of version 1, where this machine lets the test
make some (elsewhere the tests of them are skipped and say so; version 2 is
tested on files), and with --memory-max-bytes anywhere."""

import concurrent.futures
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import unittest

import processes
import turns
from turns import pb2

MIB = 1 << 20
GROUPS = pathlib.Path("/sys/fs/cgroup")

# 13 MB of weights whose KV takes 512 KiB a token, 64 GiB a context. One thread:
# layers this small have nothing to share out.
HUGE_KV = ["--shape", "llama-tiny", "--type", "q4_0", "--layers", "1024",
           "--width", "64", "--heads", "2", "--kv-heads", "2", "--ffn", "32",
           "--vocab", "512", "--context", "131072"]
FLAGS = ["--kv-type", "f32", "--threads", "1"]

SESSIONS = 16
PROMPT_TOKENS = 400
ANSWER_TOKENS = 2
# Sessions wait for each other, and the machine may be busy.
FILL_SECONDS = 500


def synthesize(path, flags):
    made = processes.tandem("bench", "synthesize", path, *flags)
    if made.returncode != 0:
        raise AssertionError(made.stderr)
    return path


class ControlGroup:
    """A group of version 1 that is removed with the test; skips the test where
    there can be none."""

    def __init__(self, test, controller, files):
        name = f"tandem-test-{os.getpid()}-{controller}"
        self.folder = GROUPS / controller / name
        try:
            self.folder.mkdir()
            test.addCleanup(self.folder.rmdir)
            for file, text in files:
                (self.folder / file).write_text(text)
        except OSError as error:
            test.skipTest(f"no control group can be made here: {error}")

    def run_in(self, program, *arguments):
        """A command line that runs the program in the group."""
        return ["/bin/sh", "-c", f"echo $$ > {self.folder}/cgroup.procs && "
                'exec "$@"', "sh", processes.BIN / program, *arguments]


def memory_group(test, limit):
    return ControlGroup(test, "memory",
                        [("memory.limit_in_bytes", str(limit))])


class GroupCluster(processes.Cluster):
    """A cluster whose workers run one model in a group, or in none."""

    def __init__(self, model, group=None, **options):
        self._model = model
        self._group = group
        super().__init__(**options)

    def worker(self, role, model):
        arguments = ["--role", role, "--model", self._model, *FLAGS]
        if self._group is None:
            return ["tandem-worker", *arguments]
        return self._group.run_in("tandem-worker", *arguments)


class MemoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = synthesize(cls.folder / "huge-kv.gguf", HUGE_KV)
        # Reservations of other processes of this machine do not count.
        previous = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = folder.name
        cls.addClassCleanup(
            os.environ.pop if previous is None else os.environ.__setitem__,
            "XDG_RUNTIME_DIR", *([] if previous is None else [previous]))

    def start(self, group=None, flags=None, **options):
        cluster = GroupCluster(
            self.model, group, **options, flags={
                **(flags or {}),
                "coordinator": ["--queue-timeout-ms",
                                str(1000 * FILL_SECONDS)]})
        self.addCleanup(cluster.stop)
        return cluster

    def fill(self, cluster):
        """Sessions whose KV is more than there is, all at once: they wait for
        each other and all come to their end."""
        stub = turns.connect(self, cluster.coordinator)

        def run(number):
            turn = pb2.TurnRequest(options={
                **turns.GREEDY, "seed": 1, "max_tokens": ANSWER_TOKENS,
                "ignore_eos": True})
            # No two begin alike, so none finds the KV of another.
            turn.tokens.ids.extend(
                3 + (number * 31 + i * 7) % 500 for i in range(PROMPT_TOKENS))
            answer = turns.Answer()
            for event in stub.Generate(pb2.GenerateRequest(turn=turn),
                                       timeout=FILL_SECONDS):
                answer.add(event)
            return answer

        with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
            answers = list(pool.map(run, range(SESSIONS)))
        for answer in answers:
            self.assertEqual(len(answer.ids), ANSWER_TOKENS)

    def check_alive(self, cluster):
        for name, process in cluster.processes.items():
            self.assertIsNone(process.poll(), cluster.log(name))

    def test_a_container_of_2_gib_fills_its_kv_and_lives(self):
        limit = 2048 * MIB
        group = memory_group(self, limit)
        cluster = self.start(group, drafts=0)
        target = cluster.processes["target"]
        self.assertIn("limit 2.00 GiB of the control group",
                      cluster.log("target"))
        self.assertLess(processes.resident_bytes(target), 128 * MIB,
                        "KV is taken when it is used")
        self.fill(cluster)
        self.check_alive(cluster)
        self.assertGreater(processes.resident_bytes(target), limit * 3 // 4,
                           "the KV was not filled")
        peak = int((group.folder / "memory.max_usage_in_bytes").read_text())
        self.assertLessEqual(peak, limit)

    def test_two_workers_in_one_container_leave_each_other_room(self):
        group = memory_group(self, 3072 * MIB)
        cluster = self.start(group)
        self.assertIn("half of what is left stays for others",
                      cluster.log("draft"))
        self.fill(cluster)
        self.check_alive(cluster)

    def test_the_flag_bounds_the_process(self):
        limit = 1536 * MIB
        cluster = self.start(drafts=0, flags={
            "target": ["--memory-max-bytes", str(limit)]})
        self.assertIn(f"--memory-max-bytes {limit}", cluster.log("target"))
        self.fill(cluster)
        self.check_alive(cluster)
        used = processes.resident_bytes(cluster.processes["target"])
        self.assertGreater(used, limit // 2)
        self.assertLessEqual(used, limit)

    def refused(self, command, code=2,
                helps="--kv-tokens.*--memory-max-bytes"):
        """The last line on standard error of a process that refuses in little
        time, with this exit code, and says what helps."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=processes.LIMIT_SECONDS,
            check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        error = ended.stderr.decode()
        self.assertEqual(ended.returncode, code, error)
        # Processor time, which other processes do not change much.
        self.assertLess(after.ru_utime + after.ru_stime -
                        before.ru_utime - before.ru_stime, 1)
        self.assertNotIn("loading model", error)
        line = error.splitlines()[-1]
        self.assertRegex(line, r"\d+ bytes of memory are needed .* \d+ are "
                         "there .*" + helps)
        return line

    def test_what_can_not_fit_is_refused_before_it_is_read(self):
        flags = ["--role", "target", "--model", self.model, *FLAGS,
                 "--listen", f"unix:{self.folder}/refused"]
        worker = processes.BIN / "tandem-worker"
        line = self.refused([worker, *flags, "--memory-max-bytes=500000000"])
        self.assertIn("(--memory-max-bytes 500000000)", line)
        self.refused([worker, *flags, "--kv-tokens=10000000"])
        group = memory_group(self, 500 * MIB)
        line = self.refused(group.run_in("tandem-worker", *flags))
        self.assertIn("500.0 MiB of the control group", line)

    def run_command(self, tokens):
        """A turn whose KV is `tokens` long."""
        return ["run", self.model, "a", "--threads", "1", "--ignore-eos",
                "--draft-length", "0", "--max-tokens", str(tokens)]

    def test_run_is_refused_before_it_reads_or_fits(self):
        helps = "--max-tokens or --context.*--memory-max-bytes"
        tandem = processes.BIN / "tandem"
        line = self.refused([tandem, *self.run_command(8000),
                             "--memory-max-bytes=1000000000"], 1, helps)
        self.assertIn("(--memory-max-bytes 1000000000)", line)
        made = processes.tandem(*self.run_command(2),
                                "--memory-max-bytes=1000000000")
        self.assertEqual(made.returncode, 0, made.stderr)
        group = memory_group(self, 1024 * MIB)
        line = self.refused(group.run_in("tandem", *self.run_command(8000)), 1,
                            helps)
        self.assertIn("1.00 GiB of the control group", line)
        made = subprocess.run(
            group.run_in("tandem", *self.run_command(2)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=processes.LIMIT_SECONDS,
            check=False)
        self.assertEqual(made.returncode, 0, made.stderr)

    def test_other_processes_see_what_run_reserves(self):
        def room():
            shown = processes.tandem("inspect", self.model, "--json")
            return json.loads(shown.stdout)["memory"]["limit"]

        self.assertNotIn("reserved", room())
        process = subprocess.Popen(
            [processes.BIN / "tandem", *self.run_command(4000)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertTrue(process.stdout.read(1), "no text came")
        self.assertIn("reserved by 1 other processes", room())
        process.kill()
        process.wait()
        self.assertNotIn("reserved", room())

    def test_a_long_context_costs_what_is_used_of_it(self):
        model = synthesize(self.folder / "long.gguf", [
            "--shape", "llama-tiny", "--layers", "2", "--context", "1048576"])
        cluster = GroupCluster(model, drafts=0)
        self.addCleanup(cluster.stop)
        self.assertLess(processes.resident_bytes(cluster.processes["target"]),
                        128 * MIB)
        made = cluster.tandem("generate", "a", "--max-tokens", "4")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertLess(processes.resident_bytes(cluster.processes["target"]),
                        160 * MIB)

    def test_default_threads_follow_the_quota_of_processors(self):
        if len(os.sched_getaffinity(0)) == 1:
            self.skipTest("with one processor there is one thread anyway: this "
                          "test needs two")
        group = ControlGroup(self, "cpu", [("cpu.cfs_period_us", "100000"),
                                           ("cpu.cfs_quota_us", "50000")])
        shown = subprocess.run(
            group.run_in("tandem", "inspect", self.model, "--json"),
            stdout=subprocess.PIPE, check=True,
            timeout=processes.LIMIT_SECONDS)
        self.assertEqual(json.loads(shown.stdout)["memory"]["threads"], 1)


if __name__ == "__main__":
    processes.main()
