import json
import unittest

import sources_check
from sample_tree import SampleTree


def function(lines, head="int F(int a)"):
    return head + " {\n" + "  a += 1;\n" * (lines - 2) + "}\n"


class SourcesCheckTest(SampleTree):

    def test_a_source_wants_a_test(self):
        self.write("engine/base/a.cc")
        self.write("tests/engine/base/a_test.cc")
        self.write("tools/tandem/b.cc")
        self.write("tests/tools/b_test.cc")
        self.write("services/worker/server/main.cc")
        self.assert_findings(sources_check.untested_findings(self.root))
        self.write("engine/base/c.cc")
        self.assert_findings(sources_check.untested_findings(self.root),
                             "engine/base/c.cc: has no test")

    def test_a_test_that_is_not_built_is_found(self):
        self.write("tests/engine/a_test.cc")
        self.write("tests/lost/b_test.cc")
        self.write("build/compile_commands.json", json.dumps([
            {"directory": str(self.root), "file": "tests/engine/a_test.cc"}]))
        built = sources_check.built_sources(self.root / "build")
        self.assert_findings(sources_check.unbuilt_findings(self.root, built),
                             "tests/lost/b_test.cc: is not built")

    def test_a_script_that_is_not_run_is_found(self):
        self.write("tests/checks/a_check.py")
        self.write("tests/system/b_test.py")
        self.write("tests/data/c_test.py")
        self.assert_findings(sources_check.script_findings(self.root),
                             "tests/data/c_test.py")

    def test_long_files(self):
        self.write("engine/base/a.h", "\n" * 600)
        self.write("engine/base/b.h", "\n" * 601)
        self.assert_findings(sources_check.long_file_findings(self.root),
                             "engine/base/b.h: 601 lines")

    def test_long_functions(self):
        for name, text in {
                "plain.cc": function(71),
                "member.cc": "namespace a {\nclass B {\n" +
                             function(71, "  int F() const override") +
                             "};\n}\n",
                "constructor.cc": function(71, "A::A(int b)\n    : b_(b)"),
                "test.cc": function(71, "TEST(A, B)"),
                "strings.cc": function(71, 'int F(char c = \'{\', char* s = '
                                       '"}{\\"")'),
        }.items():
            with self.subTest(name=name):
                self.setUp()
                self.write("engine/base/" + name, text)
                findings = sources_check.long_function_findings(self.root)
                self.assertEqual(len(findings), 1, findings)
                self.assertIn("more than 70", findings[0])

    def test_short_functions(self):
        self.write("engine/base/a.cc", "\n".join([
            "namespace a {", function(70), "enum class B { kC };",
            "const int kD[] = {", "  1,\n" * 100, "};",
            "#define E(x) \\\n  do { \\\n  } while (x)",
            function(70, "template <typename T>\nint G(T t)"), "}"]))
        found = sources_check.long_function_findings(self.root)
        # The template's head counts: 71 lines with it.
        self.assert_findings(found, "71 lines")

    def test_lines_are_counted_from_the_head(self):
        text = "// about\n\nint F(int a,\n      int b) {\n  return a;\n}\n"
        self.assertEqual(sources_check.functions(text),
                         [(3, 4, "int F(int a, int b)")])

    def test_methods_and_members_are_counted(self):
        self.assertEqual(sources_check.classes("""
namespace a {
class A final : public B<int> {
 public:
  explicit A(int b) : b_(b), c_{1} {}
  A(const A&) = delete;
  ~A() override;
  template <typename T>
  T Get(std::function<void(int)> then) const { if (b_) { return T(); } }
  friend bool operator==(const A&, const A&) = default;
  using C = std::map<int, std::string>;
  enum class D { kE, kF };
  static constexpr int kLimit = (1 << 4);

 private:
  struct G {
    int h = 0;
    std::optional<int> i = {};
  };
  std::function<void(int)> then_;
  int b_ ABSL_GUARDED_BY(mutex_) = 0;
  int c_{0};
};
int Free(A a) { return a.b; }
}  // namespace a
"""), [(16, "G", 0, 2), (3, "A", 3, 3)])

    def test_large_classes(self):
        methods = "  void F();\n" * 31
        members = "  int f_ = 0;\n" * 21
        self.write("engine/base/a.h", f"class A {{\n{methods}}};\n"
                   f"struct B {{\n{members}}};\n")
        self.assert_findings(sources_check.large_class_findings(self.root),
                             "a.h:1: A has 31 methods, more than 30",
                             "B has 21 data members, more than 20")

    def test_large_folders(self):
        for index in range(21):
            self.write(f"engine/base/a{index}.h")
            self.write(f"engine/base/a{index}.cc")
        for index in range(20):
            self.write(f"engine/gguf/a{index}.cc")
        self.assert_findings(sources_check.large_folder_findings(self.root),
                             "engine/base: 21 sources, more than 20")


if __name__ == "__main__":
    unittest.main()
