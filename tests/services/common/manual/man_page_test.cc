#include "services/common/manual/man_page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ManPageTest, HasTheSectionsOfAProgram) {
  const CommandEntry make = {.path = "tool make",
                             .description = "Makes it.",
                             .examples = {"tool make 'x'"},
                             .flags = {{.names = {"--kind"},
                                        .kind = ValueKind::kChoice,
                                        .choices = {"a", "b"},
                                        .type = "TEXT:a, b",
                                        .help = "Which",
                                        .default_value = "a",
                                        .variable = "TOOL_KIND"}},
                             .positionals = {{.names = {"CUP"},
                                              .kind = ValueKind::kText,
                                              .type = "TEXT",
                                              .help = "Where to",
                                              .is_required = true}},
                             .commands = {}};
  const std::string page =
      ManPage({.path = "tool",
               .description = "Does it. In detail.",
               .examples = {},
               .flags = {{.names = {"-h", "--help"}, .help = "Helps"}},
               .positionals = {},
               .commands = {make}},
              "1.2");
  EXPECT_THAT(page, StartsWith(".TH TOOL 1 \"\" \"tandem 1.2\" \"tandem\"\n"
                               ".SH NAME\ntool \\- Does it\n"));
  EXPECT_THAT(page, HasSubstr(".SH SYNOPSIS\n\\fBtool\\fR [\\fIflags\\fR] "
                              "\\fIcommand\\fR\n"));
  EXPECT_THAT(page,
              HasSubstr(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nHelps.\n"));
  EXPECT_THAT(page, HasSubstr(".SS tool make\n\\fBtool make\\fR "
                              "[\\fIflags\\fR] \\fICUP\\fR\n"));
  EXPECT_THAT(page, HasSubstr(".TP\n\\fB\\-\\-kind\\fR \\fIa, b\\fR\nWhich.\n"
                              "Default: \\fBa\\fR.\nEnvironment: "
                              "\\fBTOOL_KIND\\fR.\n"));
  EXPECT_THAT(page, HasSubstr(".nf\ntool make 'x'\n.fi\n"));
  EXPECT_THAT(page, HasSubstr(".SH EXIT STATUS\n"));
}

// A line that begins with a dot or a quote would be a macro.
TEST(ManPageTest, NothingInATextIsAMacro) {
  const std::string page = ManPage({.path = "tool",
                                    .description = ".so a\n'b\\c",
                                    .examples = {},
                                    .flags = {},
                                    .positionals = {},
                                    .commands = {}},
                                   "1");
  EXPECT_THAT(page, HasSubstr("\n\\&.so a\n\\&'b\\ec\n"));
}

}  // namespace
}  // namespace tandem
