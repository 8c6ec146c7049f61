#include "services/common/manual/man_page.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace tandem {
namespace {

// `text` as roff shows it: nothing in it is a macro, and a hyphen is the
// character that a user types.
std::string Escaped(absl::string_view text) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    std::string escaped =
        absl::StrReplaceAll(line, {{"\\", "\\e"}, {"-", "\\-"}});
    if (absl::StartsWith(escaped, ".") || absl::StartsWith(escaped, "'")) {
      escaped.insert(0, "\\&");
    }
    lines.push_back(std::move(escaped));
  }
  return absl::StrJoin(lines, "\n");
}

std::string Bold(absl::string_view text) {
  return absl::StrCat("\\fB", Escaped(text), "\\fR");
}

std::string Italic(absl::string_view text) {
  return absl::StrCat("\\fI", Escaped(text), "\\fR");
}

// "any, model, lookup" of "TEXT:any, model, lookup"; a text is a VALUE.
std::string ShownType(const ArgumentEntry& argument) {
  if (argument.kind == ValueKind::kText) return "VALUE";
  const size_t colon = argument.type.find(':');
  return colon == std::string::npos ? argument.type
                                    : argument.type.substr(colon + 1);
}

void AppendArgument(const ArgumentEntry& argument, bool is_flag,
                    std::string* page) {
  std::vector<std::string> names;
  for (const std::string& name : argument.names) names.push_back(Bold(name));
  absl::StrAppend(page, ".TP\n", absl::StrJoin(names, ", "));
  if (is_flag && argument.kind != ValueKind::kNone) {
    absl::StrAppend(page, " ", Italic(ShownType(argument)));
  }
  absl::StrAppend(page, "\n", Escaped(argument.help), ".\n");
  if (!is_flag && argument.kind == ValueKind::kChoice) {
    absl::StrAppend(page, "One of ", Escaped(ShownType(argument)), ".\n");
  }
  if (argument.is_required) absl::StrAppend(page, "Required.\n");
  if (!argument.default_value.empty()) {
    absl::StrAppend(page, "Default: ", Bold(argument.default_value), ".\n");
  }
  if (!argument.variable.empty()) {
    absl::StrAppend(page, "Environment: ", Bold(argument.variable), ".\n");
  }
}

void AppendSynopsis(const CommandEntry& command, std::string* page) {
  absl::StrAppend(page, Bold(command.path), " [", Italic("flags"), "]");
  for (const ArgumentEntry& positional : command.positionals) {
    const std::string name = Italic(positional.names.front());
    absl::StrAppend(
        page, " ",
        positional.is_required ? name : absl::StrCat("[", name, "]"));
  }
  if (!command.commands.empty()) {
    absl::StrAppend(page, " ", Italic("command"));
  }
  absl::StrAppend(page, "\n");
}

void AppendExamples(const CommandEntry& command, std::string* page) {
  absl::StrAppend(page, ".PP\n.nf\n");
  for (const std::string& example : command.examples) {
    absl::StrAppend(page, Escaped(example), "\n");
  }
  absl::StrAppend(page, ".fi\n");
}

// "tandem up" and what is below it, each as a section of COMMANDS.
void AppendCommands(const CommandEntry& command, std::string* page) {
  for (const CommandEntry& below : command.commands) {
    absl::StrAppend(page, ".SS ", Escaped(below.path), "\n");
    AppendSynopsis(below, page);
    absl::StrAppend(page, ".PP\n", Escaped(below.description), "\n");
    for (const ArgumentEntry& positional : below.positionals) {
      AppendArgument(positional, /*is_flag=*/false, page);
    }
    for (const ArgumentEntry& flag : below.flags) {
      AppendArgument(flag, /*is_flag=*/true, page);
    }
    if (!below.examples.empty()) AppendExamples(below, page);
    AppendCommands(below, page);
  }
}

}  // namespace

std::string ManPage(const CommandEntry& program, absl::string_view version) {
  const std::string name = program.name();
  std::string page = absl::StrCat(
      ".TH ", absl::AsciiStrToUpper(name), " 1 \"\" \"tandem ", version,
      "\" \"tandem\"\n", ".SH NAME\n", Escaped(name), " \\- ",
      Escaped(FirstClause(program.description)), "\n.SH SYNOPSIS\n");
  AppendSynopsis(program, &page);
  absl::StrAppend(&page, ".SH DESCRIPTION\n", Escaped(program.description),
                  "\n.SH FLAGS\n");
  for (const ArgumentEntry& positional : program.positionals) {
    AppendArgument(positional, /*is_flag=*/false, &page);
  }
  for (const ArgumentEntry& flag : program.flags) {
    AppendArgument(flag, /*is_flag=*/true, &page);
  }
  if (!program.commands.empty()) {
    absl::StrAppend(&page, ".SH COMMANDS\n");
    AppendCommands(program, &page);
  }
  if (!program.examples.empty()) {
    absl::StrAppend(&page, ".SH EXAMPLES\n");
    AppendExamples(program, &page);
  }
  absl::StrAppend(&page,
                  ".SH EXIT STATUS\n.TP\n\\fB0\\fR\nDone.\n.TP\n\\fB1\\fR\n"
                  "The operation failed.\n.TP\n\\fB2\\fR\nWrong usage or "
                  "configuration.\n");
  return page;
}

}  // namespace tandem
