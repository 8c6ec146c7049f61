import unittest

import format_check
from sample_tree import SampleTree


class FormatCheckTest(SampleTree):

    def test_badly_formatted_files_are_found(self):
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("engine/base/good.cc", "int F() { return 1; }\n")
        self.assert_findings(format_check.format_findings(self.root))
        self.write("engine/base/bad.h", "int  F( );\n")
        findings = format_check.format_findings(self.root)
        self.assertTrue(findings)
        self.assertIn("engine/base/bad.h", findings[0])


if __name__ == "__main__":
    unittest.main()
