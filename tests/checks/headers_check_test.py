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

    def test_the_build_shows_a_first_include_only(self):
        self.write("engine/base/a.cc",
                   '#include "engine/base/a.h"\n#include "engine/base/b.h"\n')
        self.assertEqual(headers_check.shown_by_build(self.root),
                         {"engine/base/a.h"})


if __name__ == "__main__":
    unittest.main()
