#include "tools/tandem/chat/commands.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

ChatLine Parsed(absl::string_view line) {
  const absl::StatusOr<ChatLine> parsed = ParseChatLine(line);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.value_or(ChatLine{});
}

std::string ErrorOf(absl::string_view line) {
  return std::string(ParseChatLine(line).status().message());
}

TEST(ParseChatLineTest, WhatDoesNotBeginWithASlashIsAMessage) {
  for (const char* line : {"", "Hello", " /help", "a /help", "one\n/two"}) {
    EXPECT_FALSE(Parsed(line).command.has_value());
    EXPECT_EQ(Parsed(line).text, line);
  }
}

TEST(ParseChatLineTest, TwoSlashesBeginAMessageThatBeginsWithOne) {
  EXPECT_FALSE(Parsed("//usr/bin").command.has_value());
  EXPECT_EQ(Parsed("//usr/bin").text, "/usr/bin");
}

TEST(ParseChatLineTest, CommandsAndWhatStandsAfterThem) {
  EXPECT_EQ(Parsed("/help").command, ChatCommand::kHelp);
  EXPECT_EQ(Parsed("/quit  ").command, ChatCommand::kQuit);
  const ChatLine set = Parsed("/set  temperature 0.5 ");
  EXPECT_EQ(set.command, ChatCommand::kSet);
  EXPECT_EQ(set.text, "temperature 0.5");
  EXPECT_EQ(Parsed("/retry").text, "");
  EXPECT_EQ(Parsed("/system Be\nkind.").text, "Be\nkind.");
}

TEST(ParseChatLineTest, SaveMayOverwrite) {
  EXPECT_FALSE(Parsed("/save a b.md").overwrites);
  EXPECT_EQ(Parsed("/save a b.md").text, "a b.md");
  EXPECT_TRUE(Parsed("/save! a.md").overwrites);
  EXPECT_EQ(ErrorOf("/save"), "write /save FILE");
  EXPECT_THAT(ErrorOf("/new!"), HasSubstr("only /save takes \"!\""));
}

TEST(ParseChatLineTest, UnknownCommandsGetTheNearestName) {
  EXPECT_THAT(ErrorOf("/hlep"), HasSubstr("\"/hlep\"; did you mean /help?"));
  EXPECT_THAT(ErrorOf("/exit"), HasSubstr("did you mean /quit?"));
  EXPECT_THAT(ErrorOf("/?"), HasSubstr("did you mean /help?"));
  EXPECT_THAT(ErrorOf("/usr/bin/env"), HasSubstr("/help lists them"));
  EXPECT_THAT(ErrorOf("/usr/bin/env"), HasSubstr("is written with //"));
  EXPECT_THAT(ErrorOf("/"), HasSubstr("there is no command \"/\""));
}

TEST(ParseChatLineTest, CommandsThatTakeNothing) {
  EXPECT_EQ(ErrorOf("/new story"),
            "/new takes nothing more, and got \"story\"");
}

TEST(ChatHelpTest, NamesEveryCommand) {
  for (const char* name :
       {"/help", "/model", "/new", "/quit", "/retry [SEED]", "/save FILE",
        "/set [NAME VALUE]", "/stats", "/system [TEXT]"}) {
    EXPECT_THAT(ChatHelp(), HasSubstr(name));
  }
}

}  // namespace
}  // namespace tandem::cli
