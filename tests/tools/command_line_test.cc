#include "tools/tandem/command_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CommandLineTest, HelpOfEveryCommand) {
  EXPECT_THAT(RunTandem({"--help"}).out, HasSubstr("generate"));
  for (const char* command : {"generate", "tokenize", "detokenize", "models",
                              "inspect", "health", "admin"}) {
    const RunResult result = RunTandem({command, "--help"});
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.out, HasSubstr(std::string("tandem ") + command));
    EXPECT_EQ(result.err, "");
  }
}

TEST(CommandLineTest, Version) {
  EXPECT_EQ(RunTandem({"--version"}).out, "tandem 0.1.0\n");
}

TEST(CommandLineTest, WrongUsageIsOneLineAndCodeTwo) {
  const std::vector<std::vector<std::string>> cases = {
      {},
      {"nonsense"},
      {"generate", "p", "--no-such-flag"},
      {"generate", "p", "--max-tokens", "many"},
      {"generate", "p", "--max-tokens", "2147483648"},
      {"generate", "p", "--seed", "-1"},
      {"generate", "p", "q"},
      {"inspect"},
      {"tokenize", "t", "--model", "a", "--model-id", "b"},
      {"health", "--wait-ms", "-1"}};
  for (const auto& arguments : cases) {
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 2) << ::testing::PrintToString(arguments);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, StartsWith("tandem: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1)
        << result.err;
  }
}

TEST(CommandLineTest, AnUnknownCommandIsNamed) {
  EXPECT_THAT(RunTandem({"nonsense"}).err,
              HasSubstr("there is no command \"nonsense\""));
}

TEST(CommandLineTest, OneLineHasNoBreaks) {
  EXPECT_EQ(OneLine(absl::InternalError("a\r\nb\nc")), "a b c");
  EXPECT_EQ(OneLine(absl::InternalError("")), "INTERNAL");
}

}  // namespace
}  // namespace tandem::cli
