#include "services/common/flag_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "services/common/flag_values.h"

namespace tandem {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// A program with a command of each kind.
class FlagMessagesTest : public ::testing::Test {
 protected:
  FlagMessagesTest() : app_("A test", "prog") {
    app_.fallthrough();
    app_.add_option("--server", server_, "A server")->envname("PROG_SERVER");
    CLI::App* say = app_.add_subcommand("say", "Says it");
    say->add_option("text", text_, "The text");
    say->add_option("--count", count_, "How often")
        ->check(WholeNumber(1, 9))
        ->envname("PROG_COUNT");
    CLI::Option* loud = say->add_flag("--loud", loud_, "Loudly");
    say->add_flag("--quiet", quiet_, "Quietly")->excludes(loud);
    CLI::App* group = app_.add_subcommand("group", "More");
    group->require_subcommand(1);
    group->fallthrough();
    CLI::App* inner = group->add_subcommand("inner", "A command");
    inner->add_option("FILE", text_, "A file")->required();
    SetExamples(inner, {"prog group inner a.txt"});
    app_.require_subcommand(1);
  }
  ~FlagMessagesTest() override { unsetenv("PROG_COUNT"); }

  // The message about `arguments`; "" where they are right.
  std::string Message(const std::vector<std::string>& arguments) {
    try {
      app_.parse(
          std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
      return FlagErrorMessage(app_, error, {.arguments = arguments});
    }
    return "";
  }

  CLI::App app_;
  std::string server_;
  std::string text_;
  int count_ = 1;
  bool loud_ = false;
  bool quiet_ = false;
};

TEST_F(FlagMessagesTest, RightArgumentsGiveNoError) {
  EXPECT_EQ(Message({"say", "hello", "--count", "3", "--server", "s"}), "");
}

TEST_F(FlagMessagesTest, TheUnknownFlagIsNamedAndNotWhatStandsBesideIt) {
  EXPECT_EQ(Message({"say", "hello", "--cuont", "5", "more"}),
            "there is no flag \"--cuont\"; did you mean --count? (see prog say "
            "--help)");
  EXPECT_EQ(
      Message({"say", "--count=3", "--sever=x"}),
      "there is no flag \"--sever\"; did you mean --server? (see prog say "
      "--help)");
  EXPECT_EQ(Message({"say", "--zzz"}),
            "there is no flag \"--zzz\" (see prog say --help)");
}

TEST_F(FlagMessagesTest, AStrayWordIsNamedInTheOrderOfTheUser) {
  EXPECT_EQ(Message({"say", "a", "b", "c"}),
            "\"b\" is one argument too many: prog say takes text; put quotes "
            "around a text of several words (see prog say --help)");
  // The word that belongs there is not blamed for one like it.
  EXPECT_THAT(Message({"say", "a", "a"}), HasSubstr("\"a\" is one argument"));
}

TEST_F(FlagMessagesTest, UnknownAndMissingCommands) {
  EXPECT_EQ(Message({"sya"}),
            "there is no command \"sya\"; did you mean say? (see prog --help)");
  EXPECT_EQ(Message({}), "prog needs a command: say, group (see prog --help)");
  EXPECT_EQ(Message({"group"}),
            "prog group needs a command: inner (see prog group --help)");
  EXPECT_THAT(Message({"group", "iner"}),
              HasSubstr("there is no command \"iner\"; did you mean inner?"));
}

TEST_F(FlagMessagesTest, WhatIsMissing) {
  EXPECT_EQ(Message({"group", "inner"}),
            "FILE is required (see prog group inner --help)");
  EXPECT_EQ(Message({"say", "--count"}),
            "--count needs a value (see prog say --help)");
}

TEST_F(FlagMessagesTest, AMisspelledFlagComesBeforeTheMissingOne) {
  EXPECT_THAT(Message({"group", "inner", "--srver", "x"}),
              HasSubstr("no flag \"--srver\"; did you mean --server?"));
}

TEST_F(FlagMessagesTest, WrongValues) {
  EXPECT_EQ(Message({"say", "--count", "12"}),
            "--count: \"12\" is not a whole number from 1 to 9 (see prog say "
            "--help)");
  EXPECT_EQ(Message({"say", "--loud=maybe"}),
            "--loud: \"maybe\" is neither true nor false (see prog say "
            "--help)");
  EXPECT_EQ(Message({"say", "--loud", "--quiet"}),
            "--loud and --quiet exclude each other (see prog say --help)");
  EXPECT_EQ(Message({"say", "--server", "a", "--server", "b"}),
            "--server is given more often than it may be (see prog say "
            "--help)");
}

TEST_F(FlagMessagesTest, TheEnvironmentIsNamed) {
  setenv("PROG_COUNT", "many", 1);
  EXPECT_THAT(Message({"say"}),
              HasSubstr("PROG_COUNT (the same as --count): \"many\" is not a "
                        "whole number from 1 to 9"));
}

TEST_F(FlagMessagesTest, TheArgumentsComeBeforeTheEnvironment) {
  setenv("PROG_COUNT", "many", 1);
  EXPECT_THAT(Message({"say", "--count", "0"}),
              ::testing::StartsWith("--count: \"0\""));
}

TEST_F(FlagMessagesTest, HelpHasTheWholePathAndEndsWithExamples) {
  const CLI::App* inner = app_.get_subcommand("group")->get_subcommand("inner");
  EXPECT_EQ(CommandPath(*inner), "prog group inner");
  EXPECT_THAT(HelpText(*inner), HasSubstr("Usage: prog group inner "));
  EXPECT_THAT(HelpText(*inner),
              EndsWith("Examples:\n  prog group inner a.txt\n"));
}

}  // namespace
}  // namespace tandem
