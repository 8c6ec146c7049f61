// Grammars of JSON Schemas against the jsonschema package for Python; see
// check/compare_with_jsonschema.py.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace tandem {
namespace {

constexpr int kPackageIsMissing = 77;

TEST(SchemaOracleTest, GrammarsTakeWhatIsValid) {
  const std::string folder =
      std::string(TANDEM_SOURCE_DIR) + "/tests/engine/grammar/check/";
  const std::string command = std::string(TANDEM_PYTHON) + " -B " + folder +
                              "compare_with_jsonschema.py " +
                              TANDEM_BINARY_DIR +
                              "/bin/tandem-check-grammar 2>&1";
  std::FILE* const pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string printed;
  char buffer[4096];
  while (const size_t count = std::fread(buffer, 1, sizeof(buffer), pipe)) {
    printed.append(buffer, count);
  }
  const int status = pclose(pipe);
  if (WEXITSTATUS(status) == kPackageIsMissing) GTEST_SKIP() << printed;
  EXPECT_EQ(status, 0) << printed;
}

}  // namespace
}  // namespace tandem
