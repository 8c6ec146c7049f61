"""A model file that changes while it is loaded is an error of that load: no
worker and no `tandem run` ends by a signal, and a worker serves on."""

import os
import pathlib
import random
import tempfile
import threading
import time
import unittest

import processes

LOADS = 24
RUNS = 8


class Changer:
    """Cuts, rewrites and restores a copy of a model all the time."""

    def __init__(self, folder):
        self.file = pathlib.Path(folder) / "changing.gguf"
        self._bytes = processes.TARGET_MODEL.read_bytes()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._change)
        self.file.write_bytes(self._bytes)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _change(self):
        draw = random.Random(7)
        with open(self.file, "r+b") as file:
            while not self._end.is_set():
                file.seek(0)
                file.write(self._bytes)
                file.flush()
                time.sleep(draw.uniform(0, 0.1))
                size = draw.randrange(len(self._bytes))
                if draw.random() < 0.5:
                    os.truncate(self.file, size)
                else:
                    file.seek(size)
                    file.write(draw.randbytes(1 << 16))
                    file.flush()
                time.sleep(draw.uniform(0, 0.01))


class ChangingFileTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_a_worker_serves_on(self):
        admin = f"unix:{self.folder}/admin"
        cluster = processes.Cluster(drafts=0, flags={"target": [
            "--model-folder", self.folder, "--admin-listen", admin]})
        self.addCleanup(cluster.stop)
        turn = ("generate", "Once upon a time", "--model", "tales-target-q8_0",
                "--max-tokens", "8", "--seed", "7")
        text = cluster.tandem(*turn).stdout
        self.assertTrue(text)
        failed = 0
        with Changer(self.folder) as changer:
            for _ in range(LOADS):
                load = processes.tandem("admin", "load", changer.file.name,
                                        "--model-id", "changing", "--admin",
                                        admin)
                self.assertIn(load.returncode, (0, 1), load.stderr)
                failed += load.returncode
                if load.returncode == 0:
                    unload = processes.tandem("admin", "unload", "changing",
                                              "--admin", admin)
                    self.assertEqual(unload.returncode, 0, unload.stderr)
                self.assertIsNone(cluster.processes["target"].poll(),
                                  cluster.log("target"))
        self.assertGreater(failed, 0)
        self.assertEqual(cluster.tandem(*turn).stdout, text)

    def test_run_ends_with_an_exit_code(self):
        with Changer(self.folder) as changer:
            for _ in range(RUNS):
                run = processes.tandem("run", changer.file, "Once",
                                       "--max-tokens", "2")
                self.assertIn(run.returncode, (0, 1, 2), run.stderr)


if __name__ == "__main__":
    processes.main()
