"""Small trees that keep or break a rule, for the self-tests of the checks."""

import pathlib
import tempfile
import unittest


class SampleTree(unittest.TestCase):
    """A test case with a folder of its own, self.root."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def assert_findings(self, findings, *parts):
        """As many findings as `parts`, each with its part in it."""
        self.assertEqual(len(findings), len(parts), findings)
        for finding, part in zip(findings, parts):
            self.assertIn(part, finding)
