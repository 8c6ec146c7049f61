import unittest

import headers_check
from sample_tree import SampleTree


class HeadersCheckTest(SampleTree):

    def test_a_header_that_needs_another_is_found(self):
        self.write("engine/base/good.h", "#include <string>\nstd::string A();\n")
        self.write("engine/base/bad.h", "std::string B();\n")
        self.write("engine/base/uses_good.h",
                   '#include "engine/base/good.h"\nstd::string C();\n')
        self.assert_findings(
            headers_check.header_findings(self.root, self.root / "build"),
            "engine/base/bad.h: does not compile alone")


if __name__ == "__main__":
    unittest.main()
