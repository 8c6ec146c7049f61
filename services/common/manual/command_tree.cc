#include "services/common/manual/command_tree.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

constexpr char kExamples[] = "Examples:\n";

std::string PathOf(const CLI::App& command) {
  if (command.get_parent() == nullptr) return command.get_name();
  return absl::StrCat(PathOf(*command.get_parent()), " ", command.get_name());
}

// "any, model, lookup" where the type is "TEXT:any, model, lookup"; none where
// what follows the colon is no list of words.
std::vector<std::string> ChoicesIn(absl::string_view type) {
  const size_t colon = type.find(':');
  if (colon == absl::string_view::npos) return {};
  std::vector<std::string> choices =
      absl::StrSplit(type.substr(colon + 1), ", ");
  const bool are_words = std::all_of(
      choices.begin(), choices.end(), [](const std::string& choice) {
        return !choice.empty() && !absl::StrContains(choice, ' ');
      });
  return are_words ? choices : std::vector<std::string>();
}

ArgumentEntry Describe(const CLI::Option& option) {
  ArgumentEntry entry;
  if (option.get_positional()) {
    entry.names.push_back(option.get_name(/*positional=*/true));
  } else {
    for (const std::string& name : option.get_snames()) {
      entry.names.push_back(absl::StrCat("-", name));
    }
    for (const std::string& name : option.get_lnames()) {
      entry.names.push_back(absl::StrCat("--", name));
    }
  }
  entry.help = option.get_description();
  entry.default_value = option.get_default_str();
  entry.variable = option.get_envname();
  entry.is_required = option.get_required();
  if (option.get_items_expected_max() == 0) return entry;
  entry.type = option.get_type_name();
  entry.choices = ChoicesIn(entry.type);
  entry.kind = !entry.choices.empty() ? ValueKind::kChoice
               : absl::StartsWith(entry.type, "TEXT") &&
                       !absl::StrContains(entry.type, " .. ")
                   ? ValueKind::kText
                   : ValueKind::kNumber;
  return entry;
}

std::vector<std::string> ExamplesIn(absl::string_view footer) {
  std::vector<std::string> examples;
  if (!absl::ConsumePrefix(&footer, kExamples)) return examples;
  for (const absl::string_view line :
       absl::StrSplit(footer, '\n', absl::SkipWhitespace())) {
    examples.emplace_back(absl::StripAsciiWhitespace(line));
  }
  return examples;
}

}  // namespace

std::string CommandEntry::name() const {
  return path.substr(path.rfind(' ') + 1);
}

CommandEntry DescribeCommand(const CLI::App& app) {
  CommandEntry entry;
  entry.path = PathOf(app);
  entry.description = app.get_description();
  entry.examples = ExamplesIn(app.get_footer());
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    (option->get_positional() ? entry.positionals : entry.flags)
        .push_back(Describe(*option));
  }
  for (const CLI::App* command : app.get_subcommands({})) {
    entry.commands.push_back(DescribeCommand(*command));
  }
  return entry;
}

std::string FirstClause(const std::string& text) {
  size_t end = text.size();
  for (const char* mark : {";", ": ", ". ", ".\n", "\n"}) {
    end = std::min(end, text.find(mark));
  }
  std::string clause = text.substr(0, end);
  if (absl::EndsWith(clause, ".")) clause.pop_back();
  return clause;
}

}  // namespace tandem
