#include "tools/tandem/base/response_format_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<v1::GenerationOptions> Read(std::vector<std::string> arguments,
                                           const std::string& typed = "") {
  CLI::App app;
  ResponseFormatFlags flags;
  AddResponseFormatFlags(&app, &flags);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  std::istringstream in(typed);
  std::ostringstream out;
  v1::GenerationOptions options;
  const absl::Status status = ReadResponseFormat(
      flags, {.in = &in, .out = &out, .err = &out}, &options);
  if (!status.ok()) return status;
  return options;
}

std::string ErrorOf(const std::vector<std::string>& arguments) {
  return std::string(Read(arguments).status().message());
}

TEST(ResponseFormatFlagsTest, EachSetsItsField) {
  EXPECT_EQ(Read({})->ByteSizeLong(), 0u);
  EXPECT_TRUE(Read({"--json-object"})->response_format().has_json_object());
  EXPECT_EQ(Read({"--regex", "a+"})->response_format().regex(), "a+");
  EXPECT_THAT(Read({"--choice", "yes", "--choice", "no"})
                  ->response_format()
                  .choices()
                  .texts(),
              ElementsAre("yes", "no"));
  const std::string path = ::testing::TempDir() + "/format";
  std::ofstream(path) << "{\"type\": \"null\"}";
  EXPECT_EQ(Read({"--json-schema", path})->response_format().json_schema(),
            "{\"type\": \"null\"}");
  EXPECT_EQ(Read({"--grammar", path})->response_format().grammar(),
            "{\"type\": \"null\"}");
  EXPECT_EQ(
      Read({"--grammar", "-"}, "root ::= \"a\"")->response_format().grammar(),
      "root ::= \"a\"");
}

TEST(ResponseFormatFlagsTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(ErrorOf({"--json-object", "--regex", "a"}),
              HasSubstr("--json-object and --regex do not go together"));
  EXPECT_THAT(ErrorOf({"--json-schema", "/nowhere"}),
              HasSubstr("--json-schema /nowhere: cannot read it"));
  EXPECT_THAT(ErrorOf({"--regex", "\xff"}), HasSubstr("--regex"));
  EXPECT_THAT(ErrorOf({"--choice", "\xff"}), HasSubstr("--choice"));
}

}  // namespace
}  // namespace tandem::cli
