// Our renderings against those of Jinja for Python, byte by byte; see
// render/compare_with_jinja.py.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace tandem {
namespace {

// What the comparison of `kind` over `path` prints; empty where all is equal.
std::string Differences(const std::string& kind, const std::string& path) {
  const std::string command =
      std::string(TANDEM_PYTHON) + " -B " + TANDEM_SOURCE_DIR +
      "/tests/engine/template/render/compare_with_jinja.py " +
      TANDEM_BINARY_DIR + "/bin/tandem-render-template " + kind + " " +
      TANDEM_SOURCE_DIR + "/tests/data/" + path + " 2>&1";
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string printed;
  char buffer[4096];
  while (const size_t count = std::fread(buffer, 1, sizeof(buffer), pipe)) {
    printed.append(buffer, count);
  }
  return pclose(pipe) == 0 ? "" : printed;
}

TEST(TemplateOracleTest, TemplatesRenderAsJinjaDoes) {
  EXPECT_EQ(Differences("templates", "templates"), "");
}

TEST(TemplateOracleTest, SnippetsRenderAsJinjaDoes) {
  EXPECT_EQ(Differences("snippets", "template_snippets.txt"), "");
}

}  // namespace
}  // namespace tandem
