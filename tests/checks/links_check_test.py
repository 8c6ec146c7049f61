import unittest

import links_check
from sample_tree import SampleTree


class LinksCheckTest(SampleTree):

    def test_what_exists_may_be_named(self):
        self.write("tools/demo")
        self.write("engine/base/hash.h")
        self.write("engine/README.md", "[up](../README.md) `engine/base/hash` "
                   "`tools/demo` `./tools/demo` [web](https://example.org/x) "
                   "`hash.h` [here](#section) `tests/*_test.cc` `a/b`\n"
                   "```\n[not](a/link)\n```\n")
        self.write("README.md", "[engine](engine/README.md#top) `engine/`\n")
        self.assert_findings(links_check.link_findings(self.root))

    def test_what_does_not_exist_is_found(self):
        self.write("README.md", "[gone](docs/gone.md)\n`tools/gone`\n"
                   "`gone.cc`\n")
        self.assert_findings(links_check.link_findings(self.root),
                             "docs/gone.md", "tools/gone", "gone.cc")


if __name__ == "__main__":
    unittest.main()
