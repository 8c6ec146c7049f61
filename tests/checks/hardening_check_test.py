import subprocess
import unittest

import hardening_check
from sample_tree import SampleTree

SOURCE = """
#include <string.h>
char from[64];
int main(int count, char** values) {
  char to[32];
  memcpy(to, from, 4 * count);
  strcpy(to + count, values[0]);
  return to[count];
}
"""
GOOD = ("-O2", "-fPIE", "-pie", "-fstack-protector-strong",
        "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now",
        "-Wl,-z,noexecstack")


class HardeningCheckTest(SampleTree):

    def findings(self, *flags):
        """Of a program that is built with GOOD and `flags`."""
        self.write("program.c", SOURCE)
        program = self.root / "program"
        subprocess.run(["gcc", *GOOD, *flags, self.root / "program.c", "-o",
                        program], check=True, stderr=subprocess.PIPE)
        return hardening_check.program_findings(program)

    def test_a_hardened_program_is_good(self):
        self.assert_findings(self.findings())

    def test_what_is_missing_is_found(self):
        for flags, what in (
                (("-no-pie", "-fno-pie"), "is not position independent"),
                (("-Wl,-z,lazy",), "is relocated while it runs"),
                (("-Wl,-z,execstack",), "its stack is executable"),
                (("-fno-stack-protector",), "has no stack protector"),
                (("-U_FORTIFY_SOURCE",), "has no checks of buffers")):
            with self.subTest(flags=flags):
                self.assert_findings(self.findings(*flags), what)

    def test_writable_relocations_are_found(self):
        self.assert_findings(self.findings("-Wl,-z,norelro"),
                             "its relocations stay writable")

    def test_sanitizers_are_not_looked_at(self):
        self.assert_findings(self.findings("-fsanitize=address", "-no-pie"))


if __name__ == "__main__":
    unittest.main()
