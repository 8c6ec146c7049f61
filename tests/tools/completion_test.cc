#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(CompletionTest, EachShellHasAScriptOfTheWholeProgram) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const RunResult result = RunTandem({"completion", shell});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, HasSubstr("tandem bench serve"));
    EXPECT_THAT(result.out, HasSubstr("draft-sources"));
    EXPECT_THAT(result.out, HasSubstr("any model lookup"));
    EXPECT_THAT(result.out, HasSubstr("completion"));
  }
}

TEST(CompletionTest, AnotherShellIsRefused) {
  const RunResult result = RunTandem({"completion", "csh"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("\"csh\" is not one of bash, zsh, fish"));
}

}  // namespace
}  // namespace tandem::cli
