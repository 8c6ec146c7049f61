#include "tools/tandem/base/turn_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "CLI/CLI.hpp"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

struct Parsed {
  absl::StatusOr<TurnInput> input;
  TurnFlags flags;
};

Parsed Read(std::vector<std::string> arguments,
            const std::string& typed = "typed") {
  CLI::App app;
  TurnFlags flags;
  AddTurnFlags(&app, &flags);
  AddConversationFlags(&app, &flags.conversation);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  std::istringstream in(typed);
  std::ostringstream out;
  absl::StatusOr<TurnInput> input =
      ReadTurn(flags, {.in = &in, .out = &out, .err = &out});
  return {.input = std::move(input), .flags = flags};
}

TEST(TurnFlagsTest, APromptIsTextOrAMessage) {
  const Parsed text = Read({"Once", "--seed", "3", "--special"});
  ASSERT_TRUE(text.input.ok()) << text.input.status();
  EXPECT_EQ(text.input->text, "Once");
  EXPECT_TRUE(text.input->parse_special);
  EXPECT_TRUE(text.input->messages.empty());
  EXPECT_EQ(text.input->options.seed(), 3u);

  EXPECT_EQ(Read({}).input->text, "typed");
  EXPECT_EQ(Read({"-"}).input->text, "typed");

  const Parsed chat = Read({"--chat", "Hi"});
  ASSERT_EQ(chat.input->messages.size(), 1u);
  EXPECT_EQ(chat.input->messages[0].role, ChatRole::kUser);
  EXPECT_EQ(chat.input->messages[0].content, "Hi");
  EXPECT_EQ(chat.input->text, "");

  const Parsed system = Read({"--system", "Be brief.", "Hi"});
  ASSERT_EQ(system.input->messages.size(), 2u);
  EXPECT_EQ(system.input->messages[0].role, ChatRole::kSystem);
  EXPECT_EQ(system.input->messages[0].content, "Be brief.");
}

TEST(TurnFlagsTest, AConversationTakesThePromptsPlace) {
  static constexpr char kMessages[] = R"([{"role": "user", "content": "Hi"}])";
  const Parsed chat =
      Read({"--messages", "-", "--template-option", "a=1", "--seed", "3"},
           kMessages);
  ASSERT_TRUE(chat.input.ok()) << chat.input.status();
  const v1::TurnRequest turn = ToRequest(*chat.input);
  EXPECT_FALSE(turn.has_text());
  ASSERT_EQ(turn.messages().messages_size(), 1);
  EXPECT_EQ(turn.messages().messages(0).content(), "Hi");
  EXPECT_EQ(turn.template_options().at("a").int_value(), 1);
  EXPECT_EQ(turn.options().seed(), 3u);
  const auto error = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--messages", "-"});
    return std::string(
        Read(std::move(arguments), kMessages).input.status().message());
  };
  EXPECT_EQ(error({}), "");
  for (const std::vector<std::string>& others :
       std::vector<std::vector<std::string>>{
           {"Hi"}, {"--prompt-file", "f"}, {"--chat"}, {"--system", "s"}}) {
    EXPECT_THAT(error(others), HasSubstr("leave out the prompt")) << others[0];
  }
  EXPECT_THAT(error({"--special"}), HasSubstr("--special does not go with"));
  EXPECT_THAT(error({"--echo"}), HasSubstr("--echo does not go with"));
}

TEST(TurnFlagsTest, ToolsAndPartsGoWithAChat) {
  const Parsed chat = Read({"--chat", "Hi", "--split-reply"});
  ASSERT_TRUE(chat.input.ok()) << chat.input.status();
  const v1::TurnRequest turn = ToRequest(*chat.input);
  EXPECT_TRUE(turn.split_reply());
  EXPECT_EQ(turn.messages().messages(0).content(), "Hi");
  EXPECT_THAT(Read({"Hi", "--tools", "t"}).input.status().message(),
              HasSubstr("--tools goes with --chat"));
  EXPECT_THAT(Read({"Hi", "--split-reply"}).input.status().message(),
              HasSubstr("--split-reply goes with --chat"));
}

TEST(TurnFlagsTest, WhatIsWrongIsToldBeforeInputIsRead) {
  const auto error = [](std::vector<std::string> arguments,
                        const std::string& typed = "") {
    return std::string(
        Read(std::move(arguments), typed).input.status().message());
  };
  EXPECT_THAT(error({"--logprobs", "1"}), HasSubstr("--json"));
  EXPECT_THAT(error({"--top-p", "0"}), HasSubstr("--top-p"));
  EXPECT_THAT(error({"--echo", "--chat"}), HasSubstr("--echo"));
  EXPECT_THAT(error({"--special", "--system", "s"}), HasSubstr("--special"));
  EXPECT_THAT(error({"a", "--prompt-file", "b"}), HasSubstr("not both"));
  EXPECT_THAT(error({"a", "--system", "\xff"}), HasSubstr("--system"));
  EXPECT_THAT(error({}, "ab\xff"), HasSubstr("not UTF-8 at byte 2"));
}

TEST(TurnFlagsTest, TemplateOptionsHaveTypes) {
  std::vector<std::string> arguments = {"--chat", "Hi"};
  for (const char* option : {"b=true", "i=-5", "d=0.5", "t=a=b",
                             "e=", "q=\"true\"", "date=2026-11-28"}) {
    arguments.insert(arguments.end(), {"--template-option", option});
  }
  const Parsed chat = Read(arguments);
  ASSERT_TRUE(chat.input.ok()) << chat.input.status();
  const std::vector<TemplateOption>& options = chat.input->template_options;
  ASSERT_EQ(options.size(), 7u);
  EXPECT_EQ(std::get<bool>(options[0].value), true);
  EXPECT_EQ(std::get<int64_t>(options[1].value), -5);
  EXPECT_EQ(std::get<double>(options[2].value), 0.5);
  EXPECT_EQ(std::get<std::string>(options[3].value), "a=b");
  EXPECT_EQ(std::get<std::string>(options[4].value), "");
  EXPECT_EQ(std::get<std::string>(options[5].value), "true");
  EXPECT_EQ(std::get<std::string>(options[6].value), "2026-11-28");
}

TEST(TurnFlagsTest, WrongTemplateOptionsNameTheFlag) {
  const auto error = [](const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"--chat", "Hi"};
    for (const std::string& option : options) {
      arguments.insert(arguments.end(), {"--template-option", option});
    }
    return std::string(Read(arguments).input.status().message());
  };
  EXPECT_THAT(error({"a"}), HasSubstr("--template-option a: write NAME=VALUE"));
  EXPECT_THAT(error({"=a"}), HasSubstr("write NAME=VALUE"));
  EXPECT_THAT(error({"messages=1"}),
              HasSubstr("--template-option messages: can not be set"));
  EXPECT_THAT(error({"date=now"}),
              HasSubstr("--template-option date: must be a day"));
  EXPECT_THAT(error({"a b=1"}),
              HasSubstr("--template-option: must have names"));
  EXPECT_THAT(error({"a=1", "a=2"}), HasSubstr("twice"));
  EXPECT_THAT(error({"a=\xff"}), HasSubstr("UTF-8"));
  EXPECT_THAT(error(std::vector<std::string>(33, "a=1")), HasSubstr("32"));
}

TEST(TurnFlagsTest, PrintsTheLineEndOrTheObject) {
  TurnRecord record;
  record.tokens.set_text("one");
  const auto print = [&record](const TurnFlags& flags) {
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_TRUE(
        PrintTurn(flags, record, {.in = nullptr, .out = &out, .err = &err})
            .ok());
    return out.str() + "|" + err.str();
  };
  TurnFlags flags;
  EXPECT_EQ(print(flags), "\n|");
  flags.stats = true;
  EXPECT_THAT(print(flags), HasSubstr("|tokens: "));
  flags.stats = false;
  flags.json = true;
  EXPECT_THAT(print(flags), HasSubstr("\"text\":\"one\""));
  flags.json = false;
  record.tokens.set_text("one\n");
  EXPECT_EQ(print(flags), "|");
  // Of the parts of a reply that were printed the last counts.
  record.tokens.mutable_reply()->set_content("one");
  EXPECT_EQ(print(flags), "\n|");
  record.tokens.clear_reply();
  // A turn without a receipt.
  std::ostringstream out;
  flags.receipt_file = "/nonexistent/receipt.json";
  EXPECT_THAT(
      PrintTurn(flags, record, {.in = nullptr, .out = &out, .err = &out})
          .message(),
      HasSubstr("--receipt /nonexistent/receipt.json"));
}

TEST(TurnFlagsTest, ARequestHasTheTextOrTheMessages) {
  TurnInput input;
  input.options.set_seed(3);
  input.text = "Once";
  input.parse_special = true;
  v1::TurnRequest turn = ToRequest(input);
  EXPECT_EQ(turn.text(), "Once");
  EXPECT_TRUE(turn.parse_special());
  EXPECT_EQ(turn.options().seed(), 3u);
  input.messages = {{.role = ChatRole::kSystem, .content = "s"},
                    {.role = ChatRole::kUser, .content = "u"}};
  turn = ToRequest(input);
  EXPECT_FALSE(turn.has_text());
  ASSERT_EQ(turn.messages().messages_size(), 2);
  EXPECT_EQ(turn.messages().messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(turn.messages().messages(1).content(), "u");
}

}  // namespace
}  // namespace tandem::cli
