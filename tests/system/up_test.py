"""`tandem up` serves, keeps its processes running, and stops without a trace."""

import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import processes

HAS_GATEWAY = (processes.BIN / "tandem-gateway").exists()


def children(pid):
    """Name of the role or program, and pid, of the children of `pid`."""
    found = {}
    ids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in ids:
        try:
            words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(
                b"\0")
        except OSError:
            continue  # it has ended
        name = os.path.basename(words[0]).decode()
        if b"--role" in words:
            name = words[words.index(b"--role") + 1].decode()
        found[name] = int(child)
    return found


def is_alive(pid):
    try:
        return ") Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class UpTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tandem-up-test.",
                                             dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.runtime = self.folder / "run"
        self.runtime.mkdir()
        self.log = self.folder / "up.log"

    def start(self, *arguments, model=processes.TARGET_MODEL,
              listen="127.0.0.1:0", **options):
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(
            [processes.BIN / "tandem", "up", model, "--listen", listen,
             "--http-listen", "127.0.0.1:0", "--log-file", self.log,
             *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.runtime),
                 "XDG_STATE_HOME": str(self.folder / "state"),
                 "TERM": "xterm",
                 # Flags of servers, which are set here.
                 "TANDEM_LISTEN": "127.0.0.1:1"},
            **options)
        self.addCleanup(process.stdout.close)
        if process.stderr:
            self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def address(self, process):
        """That of the coordinator, once it serves."""
        line = process.stdout.readline().decode()
        match = re.fullmatch(r"gRPC  (127\.0\.0\.1:\d+)\n", line)
        if not match:
            self.fail(f"{line}: {process.stderr.read().decode()}")
        if HAS_GATEWAY:
            self.assertRegex(process.stdout.readline().decode(),
                             r"^HTTP  http://127\.0\.0\.1:\d+/v1\n$")
            self.assertRegex(process.stdout.readline().decode(),
                             r"^page  http://127\.0\.0\.1:\d+/\n$")
        return match.group(1)

    def generate(self, address, *arguments):
        result = processes.tandem("generate", "Once", "--max-tokens", "8",
                                  "--seed", "7", "--json", "--coordinator",
                                  address, *arguments)
        if result.returncode != 0:
            return None
        return json.loads(result.stdout)

    def stop(self, process, number, group=False):
        """Its exit code; nothing may be left."""
        left = children(process.pid)
        if group:  # as a terminal does it
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        code = process.wait(processes.LIMIT_SECONDS)
        for name, pid in left.items():
            self.assertFalse(is_alive(pid), name)
        return code

    def test_serves_a_pair_until_it_is_interrupted(self):
        process = self.start("--draft", processes.DRAFT_MODEL)
        address = self.address(process)
        names = {"target", "draft", "tandem-coordinator"}
        if HAS_GATEWAY:
            names.add("tandem-gateway")
        self.assertEqual(set(children(process.pid)), names)
        turn = self.generate(address, "--draft-length", "4")
        self.assertEqual(len(turn["token_ids"]), 8)
        self.assertGreater(turn["speculation"]["drafted_tokens"], 0)
        self.assertEqual(self.stop(process, signal.SIGINT, group=True), 0)
        said = process.stderr.read().decode()
        self.assertIn("is served, ready after ", said)
        self.assertIn(str(self.log), said)
        self.assertNotIn("\x1b", said)
        self.assertEqual(list(self.runtime.glob("tandem-up-*")), [])
        log = self.log.read_text()
        for name in ("target worker", "draft worker", "coordinator"):
            self.assertIn(f"{name}: ", log)
        # Polite ends, in the reverse order.
        self.assertGreater(log.rindex("target worker: "),
                           log.rindex("draft worker: "))
        self.assertNotIn("is killed", log)

    def test_termination_stops_everything(self):
        process = self.start()
        self.address(process)
        self.assertEqual(self.stop(process, signal.SIGTERM), 0)
        self.assertEqual(list(self.runtime.glob("tandem-up-*")), [])

    def test_workers_and_coordinator_are_started_again(self):
        process = self.start("--draft", processes.DRAFT_MODEL)
        address = self.address(process)
        for name in ("draft", "target", "tandem-coordinator"):
            killed = children(process.pid)[name]
            os.kill(killed, signal.SIGKILL)
            processes.wait_until(
                lambda name=name, killed=killed: children(
                    process.pid).get(name, killed) != killed,
                f"{name} runs again")
            processes.wait_until(lambda: self.generate(address),
                                 f"turns after the end of {name}")
        self.assertEqual(self.stop(process, signal.SIGTERM), 0)
        said = process.stderr.read().decode()
        for name in ("draft worker", "target worker", "coordinator"):
            self.assertIn(f"the {name} ended with signal 9 (Killed); starts "
                          "again in ", said)
            self.assertIn(f"the {name} started again", said)

    def test_a_stream_outlives_the_coordinator(self):
        """The text is that of an undisturbed run, and nothing is left."""
        process = self.start()
        address = self.address(process)
        command = [processes.BIN / "tandem", "generate", "Once",
                   "--max-tokens", "300", "--ignore-eos", "--seed", "7",
                   "--coordinator", address]
        plain = subprocess.check_output(command, stdin=subprocess.DEVNULL)
        stream = subprocess.Popen(command, bufsize=0,
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        begin = stream.stdout.read(1)
        os.kill(children(process.pid)["tandem-coordinator"], signal.SIGKILL)
        rest, messages = stream.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(stream.returncode, 0, messages)
        self.assertEqual(begin + rest, plain)
        self.assertEqual(self.stop(process, signal.SIGTERM), 0)
        self.assertIn("the coordinator started again",
                      process.stderr.read().decode())
        self.assertEqual(list(self.runtime.glob("tandem-up-*")), [])
        self.assertFalse((self.folder / "state").exists())

    def test_conversations_outlive_the_run(self):
        """Where the port is known beforehand."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        listen = f"127.0.0.1:{port}"
        process = self.start(listen=listen)
        address = self.address(process)
        first = self.generate(address)
        plain = self.generate(address, "--session", first["session_id"])
        again = self.generate(address)
        self.assertEqual(self.stop(process, signal.SIGTERM), 0)
        folder = self.folder / "state/tandem" / f"sessions-{port}"
        for made in (folder, folder.parent, folder.parent.parent):
            self.assertEqual(made.stat().st_mode & 0o777, 0o700, made)
        process = self.start(listen=listen)
        self.address(process)
        later = self.generate(address, "--session", again["session_id"])
        self.assertEqual(later["turn"], 2)
        self.assertEqual(later["token_ids"], plain["token_ids"])
        self.assertEqual(self.stop(process, signal.SIGTERM), 0)

    def test_children_die_with_their_parent(self):
        process = self.start("--draft", processes.DRAFT_MODEL)
        self.address(process)
        left = children(process.pid)
        process.kill()
        process.wait()
        for name, pid in left.items():
            processes.wait_until(lambda pid=pid: not is_alive(pid),
                                 f"{name} is gone")

    def test_a_worker_that_can_not_load_ends_it(self):
        # A tensor is missing, which is found when weights are read.
        model = self.folder / "broken.gguf"
        model.write_bytes(processes.TARGET_MODEL.read_bytes().replace(
            b"blk.0.attn_norm.weight", b"blk.0.attn_norm.weighs"))
        process = self.start(model=model)
        out, error = process.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(process.returncode, 1, error.decode())
        self.assertEqual(out, b"")
        self.assertIn("target worker: tandem-worker: ", error.decode())
        self.assertIn("attn_norm", error.decode())
        self.assertIn("tandem: the target worker ended at its start: exit code "
                      f"2; the whole log is in {self.log}\n", error.decode())
        self.assertEqual(list(self.runtime.glob("tandem-up-*")), [])

    def test_a_worker_that_does_not_stay_ends_it(self):
        process = self.start()
        self.address(process)
        # The waits between the starts take 15 s.
        while process.poll() is None:
            worker = children(process.pid).get("target")
            if worker:
                os.kill(worker, signal.SIGKILL)
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
        error = process.stderr.read().decode()
        self.assertEqual(process.returncode, 1, error)
        self.assertIn("tandem: the target worker ended 5 times in a row, last "
                      "with signal 9 (Killed)", error)
        self.assertIn("target worker: ", error)

    def test_an_address_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = processes.tandem("up", processes.TARGET_MODEL, "--listen",
                                      f"127.0.0.1:{port}")
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"tandem: --listen 127.0.0.1:{port}: is in use",
                      result.stderr.decode())

    def test_a_file_that_is_missing(self):
        result = processes.tandem("up", "/nowhere/m.gguf")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nowhere/m.gguf: ", result.stderr.decode())

    def test_a_draft_is_found_and_measured(self):
        process = self.start("--draft", "auto")
        address = self.address(process)
        models = json.loads(processes.tandem(
            "models", "--json", "--coordinator", address).stdout)["models"]
        self.assertEqual(self.stop(process, signal.SIGTERM), 0)
        said = process.stderr.read().decode()
        match = re.search(
            r"--draft auto: \S*tales-draft-q8_0\.gguf: [0-9.]+ tokens/s with "
            r"it, [0-9.]+ without \([0-9.]+ times\), \d+% of drafted tokens "
            r"accepted: it (is used|does not pay and is not used)\n", said)
        self.assertTrue(match, said)
        self.assertEqual(models[0]["draft_workers"],
                         1 if match.group(1) == "is used" else 0)

    def test_a_terminal_sees_models_load(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start(stderr=theirs)
        os.close(theirs)
        self.address(process)
        seen = b""
        stopped = False
        for more in processes.terminal_output(ours):
            seen += more
            if (not stopped and b"is served" in seen and
                    b"runs" in seen[seen.rindex(b"is served"):]):
                stopped = True
                process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(processes.LIMIT_SECONDS), 0)
        self.assertIn(b"loading tales-target-q8_0 (target worker) [", seen)
        self.assertIn(b"Ctrl-C stops | target worker runs | coordinator runs",
                      seen)


if __name__ == "__main__":
    processes.main()
