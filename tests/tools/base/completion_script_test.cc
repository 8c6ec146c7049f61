#include "tools/tandem/base/completion_script.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/flag_values.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// tool [--at A] (make TYPE OUT [--kind green|black] [--count N] [--dry] |
//                look (up | down))
CommandEntry Tree() {
  CLI::App app("A tool.", "tool");
  static std::string text;
  static int number = 0;
  static bool is_on = false;
  app.add_option("--at", text, "Where it's; or not");
  CLI::App* make = app.add_subcommand("make", "Makes: something.");
  make->add_option("TYPE", text)->check(OneOf({"big", "small"}));
  make->add_option("OUT", text);
  make->add_option("--kind", text)->check(OneOf({"green", "black"}));
  make->add_option("--count", number)->check(WholeNumber(0, 9));
  make->add_flag("--dry", is_on);
  CLI::App* look = app.add_subcommand("look", "Looks.");
  look->add_subcommand("up", "Looks up.");
  look->add_subcommand("down", "Looks down.");
  return DescribeCommand(app);
}

class BashTest : public ::testing::Test {
 protected:
  BashTest() { std::ofstream(path_) << BashCompletion(Tree()); }
  ~BashTest() override { std::filesystem::remove(path_); }

  // What bash proposes for the last of `words`, as it cuts a command line.
  std::vector<std::string> Complete(const std::vector<std::string>& words) {
    // compopt works in a completion only; what it is told is printed.
    const std::string script = absl::StrCat(
        "source ", path_, "; compopt() { echo \"compopt $*\"; }; COMP_WORDS=('",
        absl::StrJoin(words, "' '"), "'); COMP_CWORD=", words.size() - 1,
        "; _tool; printf '%s\\n' \"${COMPREPLY[@]}\"");
    const std::string command =
        absl::StrCat("bash --norc -c \"", Quoted(script), "\" 2>&1");
    std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"),
                                               pclose);
    std::string output;
    char bytes[4096];
    while (pipe != nullptr) {
      const size_t count = fread(bytes, 1, sizeof(bytes), pipe.get());
      if (count == 0) break;
      output.append(bytes, count);
    }
    return absl::StrSplit(output, '\n', absl::SkipEmpty());
  }

 private:
  // For a text in double quotes.
  static std::string Quoted(const std::string& text) {
    std::string quoted;
    for (const char c : text) {
      if (c == '"' || c == '$' || c == '\\' || c == '`') quoted += '\\';
      quoted += c;
    }
    return quoted;
  }

  const std::string path_ =
      absl::StrCat(::testing::TempDir(), "completion_", getpid(), ".bash");
};

constexpr char kNoFiles[] = "compopt +o default";

TEST_F(BashTest, Commands) {
  EXPECT_THAT(Complete({"tool", ""}),
              UnorderedElementsAre(kNoFiles, "make", "look"));
  EXPECT_THAT(Complete({"tool", "m"}), ElementsAre(kNoFiles, "make"));
  EXPECT_THAT(Complete({"tool", "look", ""}),
              UnorderedElementsAre(kNoFiles, "up", "down"));
  EXPECT_THAT(Complete({"tool", "--at", "make", "lo"}),
              ElementsAre(kNoFiles, "look"));
  EXPECT_THAT(Complete({"tool", "x"}), ElementsAre(kNoFiles));
}

TEST_F(BashTest, Flags) {
  EXPECT_THAT(Complete({"tool", "make", "--"}),
              UnorderedElementsAre(kNoFiles, "--help", "--at", "--kind",
                                   "--count", "--dry"));
  EXPECT_THAT(Complete({"tool", "make", "--k"}),
              ElementsAre(kNoFiles, "--kind"));
  EXPECT_THAT(Complete({"tool", "look", "up", "--"}),
              UnorderedElementsAre(kNoFiles, "--help", "--at"));
}

TEST_F(BashTest, Values) {
  EXPECT_THAT(Complete({"tool", "make", "--kind", ""}),
              ElementsAre(kNoFiles, "green", "black"));
  EXPECT_THAT(Complete({"tool", "make", "--kind", "=", "gr"}),
              ElementsAre(kNoFiles, "green"));
  EXPECT_THAT(Complete({"tool", "make", "--kind", "="}),
              ElementsAre(kNoFiles, "green", "black"));
  EXPECT_THAT(Complete({"tool", "make", "--count", ""}), ElementsAre(kNoFiles));
}

// Nothing is proposed, and bash proposes files by itself.
TEST_F(BashTest, FilesElse) {
  EXPECT_THAT(Complete({"tool", "--at", ""}), IsEmpty());
  EXPECT_THAT(Complete({"tool", "look", "up", "--at", ""}), IsEmpty());
  EXPECT_THAT(Complete({"tool", "make", "big", ""}), IsEmpty());
}

TEST_F(BashTest, PositionalsAreCounted) {
  EXPECT_THAT(Complete({"tool", "make", ""}),
              ElementsAre(kNoFiles, "big", "small"));
  EXPECT_THAT(Complete({"tool", "make", "--dry", "--kind", "green", "s"}),
              ElementsAre(kNoFiles, "small"));
  EXPECT_THAT(Complete({"tool", "make", "--kind", "=", "green", "s"}),
              ElementsAre(kNoFiles, "small"));
  EXPECT_THAT(Complete({"tool", "make", "big", "out", ""}),
              ElementsAre(kNoFiles));
}

TEST(ZshTest, IsAFileOfFpath) {
  const std::string script = ZshCompletion(Tree());
  EXPECT_EQ(script.rfind("#compdef tool\n", 0), 0u);
  EXPECT_THAT(script, HasSubstr("'tool make 0') echo 'big small' ;;\n"));
}

TEST(FishTest, HasCommandsFlagsAndValues) {
  const std::string script = FishCompletion(Tree());
  EXPECT_THAT(script, HasSubstr("complete -c tool -n '__tool_at \\'tool\\'' -a "
                                "make -d 'Makes'\n"));
  EXPECT_THAT(script, HasSubstr("complete -c tool -n '__tool_below \\'tool\\'' "
                                "-l at -r -F -d 'Where it\\'s'\n"));
  EXPECT_THAT(script, HasSubstr("-l kind -x -a 'green black' -d ''\n"));
  EXPECT_THAT(script, HasSubstr("-l count -x -d ''\n"));
  EXPECT_THAT(script, HasSubstr("-l dry -d ''\n"));
  EXPECT_THAT(script, HasSubstr("'tool look up' 'tool look down'"));
}

}  // namespace
}  // namespace tandem::cli
