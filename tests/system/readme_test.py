"""Runs the commands of README.md that are not run elsewhere, in their order.

Where output stands below a command, it is what the command prints.
"""

import os
import subprocess
import sys
import tempfile

import processes

sys.path.insert(0, str(processes.SOURCE_DIR / "tests/checks"))
import readme_check  # noqa: E402  (the path comes first)


class ReadmeTest(processes.ClusterTest):

    def test_commands(self):
        stubs = tempfile.TemporaryDirectory()
        self.addCleanup(stubs.cleanup)
        count = 0
        for command, output in readme_check.shown(processes.SOURCE_DIR):
            if readme_check.runner(processes.SOURCE_DIR,
                                   command) != "readme_test.py":
                continue
            count += 1
            line = command.replace("build/release/bin", str(processes.BIN))
            line = line.replace("build/stubs", stubs.name)
            line = line.replace(" python3 ", f" {sys.executable} ")
            with self.subTest(command=command):
                result = subprocess.run(
                    ["bash", "-c", line], cwd=processes.SOURCE_DIR,
                    env={**os.environ, **self.cluster.environment},
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, check=False,
                    timeout=processes.LIMIT_SECONDS)
                self.assertEqual(result.returncode, 0, result.stderr.decode())
                if output:
                    self.assertEqual(result.stdout.decode(), output)
        self.assertGreater(count, 0)


if __name__ == "__main__":
    processes.main()
