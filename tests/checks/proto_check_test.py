import unittest

import proto_check
from sample_tree import SampleTree

GOOD = """syntax = "proto3";
package tandem.v1;
// S.
service EchoService {
  // R.
  rpc Echo(EchoRequest) returns (EchoResponse);
}
// E.
enum Color {
  // None.
  COLOR_UNSPECIFIED = 0;
  // Red.
  COLOR_RED = 1;
}
// Q.
message EchoRequest {
  // One or the other.
  oneof body {
    // T.
    string text = 1;
    // B.
    bytes raw = 2;
  }
  // Both.
  optional int32 count = 3;
  // Bytes.
  int64 size = 4;
}
// A.
message EchoResponse {
  // C.
  Color color = 1;
}
"""


class ProtoCheckTest(SampleTree):

    def files(self, *changes):
        text = GOOD
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.write("proto/tandem/v1/echo.proto", text)
        return proto_check.descriptor_set(self.root)

    def lint(self, *changes):
        return proto_check.lint_findings(self.files(*changes))

    def test_good_style(self):
        self.assert_findings(self.lint())

    def test_each_comment_is_missed(self):
        for comment, name in (("// S.\n", "EchoService"),
                              ("  // R.\n", "EchoService.Echo"),
                              ("// E.\n", "Color"),
                              ("  // Red.\n", "COLOR_RED"),
                              ("// Q.\n", "EchoRequest"),
                              ("    // B.\n", "EchoRequest.raw"),
                              ("  // C.\n", "EchoResponse.color")):
            with self.subTest(name=name):
                self.assert_findings(self.lint((comment, "")),
                                     f"{name} has no comment")

    def test_each_rule_of_style(self):
        for old, new, what in (
                ("package tandem.v1;", "package tandem;", "has no version"),
                ("service EchoService", "service Echoes", "with Service"),
                ("message EchoRequest", "message Ask", "takes or gives"),
                ("COLOR_UNSPECIFIED", "COLOR_NONE", "COLOR_UNSPECIFIED"),
                ("COLOR_RED", "RED", "does not begin with COLOR_"),
                ("string text", "string theText", "lower_snake_case"),
                ("rpc Echo(", "rpc echo(", "PascalCase")):
            with self.subTest(what=what):
                changes = [(old, new)]
                if "message Ask" in new:
                    changes.append(("(EchoRequest)", "(Ask)"))
                found = self.lint(*changes)
                self.assertTrue(any(what in f for f in found), found)

    def test_additions_break_nothing(self):
        baseline = self.files()
        now = self.files(("int64 size = 4;", "int64 size = 4; bool x = 5;"))
        self.assert_findings(proto_check.breaking_findings(baseline, now))
        self.assert_findings(proto_check.missing_findings(baseline, now),
                             "tandem.v1.EchoRequest.x is not in")

    def test_each_break_is_found(self):
        baseline = self.files()
        for old, new, what in (
                ("string text = 1", "string words = 1", "text was taken"),
                ("string text = 1", "string text = 7", "text was"),
                ("int64 size = 4", "int32 size = 4", "size was"),
                ("int64 size = 4", "repeated int64 size = 4", "size was"),
                ("optional int32", "int32", "count was"),
                ("    bytes raw = 2;\n  }", "  }\n  bytes raw = 2;", "raw was"),
                ("COLOR_RED = 1", "COLOR_RED = 2", "COLOR_RED was"),
                ("returns (EchoResponse)", "returns (stream EchoResponse)",
                 "EchoService.Echo was")):
            with self.subTest(new=new):
                found = proto_check.breaking_findings(baseline,
                                                      self.files((old, new)))
                self.assert_findings(found, what)


if __name__ == "__main__":
    unittest.main()
