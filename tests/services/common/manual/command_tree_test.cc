#include "services/common/manual/command_tree.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(CommandTreeTest, HasFlagsPositionalsAndCommands) {
  CLI::App app("Does it. In detail.", "tool");
  std::string text;
  int number = 4;
  bool is_on = false;
  app.add_option("--file,-f", text, "A file")->envname("TOOL_FILE");
  app.add_option("--count", number, "How many")
      ->check(WholeNumber(0, 9))
      ->capture_default_str();
  app.add_flag("--on,!--off", is_on, "A switch");
  app.add_option("--hidden", text, "")->group("");
  CLI::App* sub = app.add_subcommand("make", "Makes.");
  CLI::App* deep = sub->add_subcommand("tea", "Makes tea.");
  deep->add_option("--kind", text, "Which")->check(OneOf({"green", "black"}));
  deep->add_option("CUP", text, "Where to")->required();
  SetExamples(deep, {"tool make tea a", "tool make tea b --kind green"});

  const CommandEntry tree = DescribeCommand(app);
  EXPECT_EQ(tree.path, "tool");
  EXPECT_EQ(tree.description, "Does it. In detail.");
  EXPECT_THAT(tree.examples, IsEmpty());
  ASSERT_THAT(tree.flags, SizeIs(4));  // --help too
  EXPECT_THAT(tree.flags[0].names, ElementsAre("-h", "--help"));
  EXPECT_EQ(tree.flags[0].kind, ValueKind::kNone);
  EXPECT_THAT(tree.flags[1].names, ElementsAre("-f", "--file"));
  EXPECT_EQ(tree.flags[1].kind, ValueKind::kText);
  EXPECT_EQ(tree.flags[1].variable, "TOOL_FILE");
  EXPECT_EQ(tree.flags[2].kind, ValueKind::kNumber);
  EXPECT_EQ(tree.flags[2].default_value, "4");
  EXPECT_THAT(tree.flags[3].names, ElementsAre("--on", "--off"));
  EXPECT_EQ(tree.flags[3].kind, ValueKind::kNone);
  ASSERT_THAT(tree.commands, SizeIs(1));
  ASSERT_THAT(tree.commands[0].commands, SizeIs(1));
  const CommandEntry& tea = tree.commands[0].commands[0];
  EXPECT_EQ(tea.path, "tool make tea");
  EXPECT_EQ(tea.name(), "tea");
  EXPECT_EQ(tea.flags[1].kind, ValueKind::kChoice);
  EXPECT_THAT(tea.flags[1].choices, ElementsAre("green", "black"));
  ASSERT_THAT(tea.positionals, SizeIs(1));
  EXPECT_THAT(tea.positionals[0].names, ElementsAre("CUP"));
  EXPECT_TRUE(tea.positionals[0].is_required);
  EXPECT_THAT(tea.examples,
              ElementsAre("tool make tea a", "tool make tea b --kind green"));
}

TEST(CommandTreeTest, ANumberOrAWordIsNoChoice) {
  CLI::App app("", "tool");
  std::string text;
  app.add_option("--length", text)->check(AutoOrWholeNumber(0, 16));
  const CommandEntry tree = DescribeCommand(app);
  EXPECT_EQ(tree.flags[1].kind, ValueKind::kNumber);
  EXPECT_THAT(tree.flags[1].choices, IsEmpty());
}

TEST(CommandTreeTest, TheFirstClauseEndsAtTheFirstMark) {
  EXPECT_EQ(FirstClause("Serves a model: starts a worker."), "Serves a model");
  EXPECT_EQ(FirstClause("Makes tea."), "Makes tea");
  EXPECT_EQ(FirstClause("One. Two."), "One");
  EXPECT_EQ(FirstClause("One\ntwo"), "One");
  EXPECT_EQ(FirstClause("Address host:port; else"), "Address host:port");
  EXPECT_EQ(FirstClause(""), "");
}

}  // namespace
}  // namespace tandem
