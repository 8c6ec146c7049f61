#include "tools/tandem/base/conversation_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

constexpr char kTools[] = R"([{"type": "function", "function": {
    "name": "clock", "parameters": {"type": "object",
                                    "properties": {"z": {}, "a": {}}}}}])";

absl::StatusOr<v1::TurnRequest> Read(std::vector<std::string> arguments,
                                     const std::string& typed = "") {
  CLI::App app;
  ConversationFlags flags;
  AddConversationFlags(&app, &flags);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  std::istringstream in(typed);
  std::ostringstream out;
  v1::TurnRequest turn;
  const absl::Status status =
      ReadChat(flags, {.in = &in, .out = &out, .err = &out}, &turn);
  if (!status.ok()) return status;
  return turn;
}

// A file with `text`.
std::string File(const std::string& text) {
  static int files = 0;
  const std::string path =
      absl::StrCat(::testing::TempDir(), "/conversation_flags-", getpid(), "-",
                   files++, ".json");
  std::ofstream(path) << text;
  return path;
}

std::string ErrorOf(const std::vector<std::string>& arguments) {
  return std::string(Read(arguments).status().message());
}

TEST(ConversationFlagsTest, WithoutThemATurnIsAsItWas) {
  EXPECT_EQ(Read({})->ByteSizeLong(), 0u);
}

TEST(ConversationFlagsTest, MessagesAreReadFromAFileOrStandardInput) {
  constexpr char kMessages[] = R"([
      {"role": "user", "content": "What time is it?"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function",
         "function": {"name": "clock", "arguments": {"z": 1, "a": 2}}}]},
      {"role": "tool", "tool_call_id": "c", "content": "12:00"}])";
  for (const absl::StatusOr<v1::TurnRequest>& turn :
       {Read({"--messages", File(kMessages)}),
        Read({"--messages", "-"}, kMessages)}) {
    ASSERT_TRUE(turn.ok()) << turn.status();
    ASSERT_EQ(turn->messages().messages_size(), 3);
    EXPECT_EQ(turn->messages().messages(1).tool_calls(0).arguments(),
              R"({"z":1,"a":2})");
    EXPECT_EQ(turn->messages().messages(2).role(), v1::CHAT_ROLE_TOOL);
    EXPECT_FALSE(turn->split_reply());
  }
}

TEST(ConversationFlagsTest, ToolsSplitTheReply) {
  const absl::StatusOr<v1::TurnRequest> turn = Read({"--tools", File(kTools)});
  ASSERT_TRUE(turn.ok()) << turn.status();
  ASSERT_EQ(turn->tools_size(), 1);
  EXPECT_EQ(turn->tools(0).parameters(),
            R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(turn->tool_choice(), v1::TOOL_CHOICE_UNSPECIFIED);
  EXPECT_TRUE(turn->split_reply());
  EXPECT_TRUE(Read({"--split-reply"})->split_reply());
}

TEST(ConversationFlagsTest, AChoiceIsAWordOrAName) {
  const std::string tools = File(kTools);
  const auto read = [&tools](const std::string& choice) {
    return Read({"--tools", tools, "--tool-choice", choice});
  };
  EXPECT_EQ(read("auto")->tool_choice(), v1::TOOL_CHOICE_AUTO);
  EXPECT_EQ(read("none")->tool_choice(), v1::TOOL_CHOICE_NONE);
  EXPECT_EQ(read("required")->tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(read("required")->tool_name(), "");
  EXPECT_EQ(read("required")->tools_size(), 1);
  EXPECT_EQ(read("clock")->tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(read("clock")->tool_name(), "clock");
}

TEST(ConversationFlagsTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(ErrorOf({"--tool-choice", "auto"}),
            "--tool-choice goes with --tools: add --tools FILE");
  EXPECT_THAT(ErrorOf({"--tools", "-"}), HasSubstr("--tools -: standard"));
  EXPECT_THAT(ErrorOf({"--tools", "/nowhere"}),
              HasSubstr("--tools /nowhere: cannot read it"));
  EXPECT_THAT(ErrorOf({"--messages", "/nowhere"}),
              HasSubstr("--messages /nowhere: cannot read it"));
  const std::string object = File("{}");
  EXPECT_EQ(ErrorOf({"--messages", object}),
            absl::StrCat("--messages ", object, ": is no JSON list"));
  const std::string torn = File("[{");
  EXPECT_EQ(ErrorOf({"--tools", torn}),
            absl::StrCat("--tools ", torn, ": is no JSON, or not UTF-8"));
  const std::string role = File(R"([{"role": "me", "content": "x"}])");
  EXPECT_EQ(ErrorOf({"--messages", role}),
            absl::StrCat("--messages ", role,
                         ": messages[0].role must be system, developer, user, "
                         "assistant or tool"));
  const std::string type = File(R"([{"type": "mcp"}])");
  EXPECT_EQ(ErrorOf({"--tools", type}),
            absl::StrCat("--tools ", type,
                         ": tools[0].type must be function: \"mcp\" is not "
                         "taken"));
  const std::string none = File("[]");
  EXPECT_EQ(ErrorOf({"--tools", none, "--tool-choice", "required"}),
            absl::StrCat("--tools ", none,
                         ": tool_choice is for requests with tools only"));
  EXPECT_THAT(ErrorOf({"--tools", File(kTools), "--tool-choice", "\xff"}),
              HasSubstr("--tool-choice is not UTF-8"));
}

}  // namespace
}  // namespace tandem::cli
