import unittest

import readme_check
from sample_tree import SampleTree

README = """# A
```console
$ ./tools/demo
Once upon a time
$ ./tools/demo --serve
$ tandem generate \\
    'Once'
```
```sh
tandem-worker --role target \\
    --model m.gguf
```

| `EXHAUSTED`, `NO_WORKER` (503) | wait for `A_WORD` |
"""
CLIENT = "```python\nprint()\n```\n"


class ReadmeCheckTest(SampleTree):

    def setUp(self):
        super().setUp()
        self.write(".ci/run", "set -e\n./tools/demo\n")
        self.write("tests/system/demo_test.py",
                   'COMMAND = "./tools/demo --serve"\n')
        self.write("tools/example_client.py", "print()\n")
        self.write("proto/README.md", CLIENT)
        self.write("engine/base/error_reason.h", '"EXHAUSTED" "NO_WORKER"')

    def test_what_is_run_may_be_shown(self):
        self.write("README.md", README)
        self.assertEqual(len(readme_check.commands(self.root)), 3)
        self.assertEqual(readme_check.shown(self.root)[0],
                         ("./tools/demo", "Once upon a time\n"))
        self.assertEqual(readme_check.shown(self.root)[2],
                         ("tandem generate 'Once'", ""))
        self.assertEqual(readme_check.flags_shown(self.root),
                         ["tandem-worker --role target --model m.gguf"])
        self.assert_findings(readme_check.readme_findings(self.root))
        self.assert_findings(readme_check.reason_findings(self.root))

    def test_what_nobody_runs_is_found(self):
        self.write("README.md", README.replace("$ ./tools/demo\n",
                                               "$ ./tools/demo --fast\n"))
        self.assert_findings(readme_check.readme_findings(self.root),
                             "nobody runs: ./tools/demo --fast")

    def test_other_blocks_are_found(self):
        self.write("README.md", README + "```\nrm x\n```\n")
        self.assert_findings(readme_check.readme_findings(self.root),
                             'kind ""')

    def test_other_programs_are_found(self):
        self.write("README.md", README + "```sh\nrm x\n```\n")
        self.assert_findings(readme_check.readme_findings(self.root),
                             "no program of tandem: rm x")

    def test_other_python_is_found(self):
        self.write("README.md", README)
        self.write("proto/README.md", CLIENT.replace("print()", "exit()"))
        self.assert_findings(readme_check.readme_findings(self.root),
                             "its Python is not")

    def test_a_readme_without_commands_is_found(self):
        self.write("README.md", "# A\n")
        self.assert_findings(readme_check.readme_findings(self.root),
                             "shows no command")
        self.assert_findings(readme_check.reason_findings(self.root),
                             "names no reason")

    def test_reasons_that_the_code_lacks_are_found(self):
        self.write("README.md", README.replace("EXHAUSTED", "TIRED"))
        self.assert_findings(readme_check.reason_findings(self.root),
                             "no reason TIRED")

    def test_width_and_length(self):
        wide = "a" * 101
        self.write("tools/README.md", f"# A\n\n| {wide} |\n\n```text\n{wide}\n```\n"
                   f"    {wide}\n{wide}\n")
        self.write("engine/README.md", "a\n" * 151 + "| b |\n" * 10)
        self.write("proto/README.md", "a\n" * 150)
        self.assert_findings(readme_check.size_findings(self.root),
                             "engine/README.md: 151 lines",
                             "tools/README.md:9: 101 columns")

    def test_title(self):
        self.write("tools/README.md", "# A\n")
        self.write("engine/README.md", "#engine / base\n")
        self.write("proto/README.md", "")
        self.assert_findings(readme_check.title_findings(self.root),
                             "engine/README.md: does not begin",
                             "proto/README.md: does not begin")


if __name__ == "__main__":
    unittest.main()
