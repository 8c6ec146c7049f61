#include "tools/tandem/chat/commands.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {
namespace {

enum class Takes { kNothing, kMaybe, kText };

struct Entry {
  const char* name;
  ChatCommand command;
  Takes takes;
  const char* usage;
  const char* what;
};

constexpr Entry kEntries[] = {
    {"help", ChatCommand::kHelp, Takes::kNothing, "/help", "shows this"},
    {"model", ChatCommand::kModel, Takes::kNothing, "/model",
     "shows the model that answers"},
    {"new", ChatCommand::kNew, Takes::kNothing, "/new",
     "begins a new conversation; options and the system message stay"},
    {"quit", ChatCommand::kQuit, Takes::kNothing, "/quit",
     "leaves, as Ctrl-D does"},
    {"retry", ChatCommand::kRetry, Takes::kMaybe, "/retry [SEED]",
     "answers the last message again, with another seed or this one"},
    {"save", ChatCommand::kSave, Takes::kText, "/save FILE",
     "writes the conversation to FILE.md or FILE.json; /save! overwrites"},
    {"set", ChatCommand::kSet, Takes::kMaybe, "/set [NAME VALUE]",
     "sets an option (VALUE \"default\" takes it back), or lists all"},
    {"stats", ChatCommand::kStats, Takes::kNothing, "/stats",
     "shows figures of the last turn and of the conversation"},
    {"system", ChatCommand::kSystem, Takes::kMaybe, "/system [TEXT]",
     "sets the system message (\"\" takes it away), or shows it"},
};

// What people type by habit.
constexpr std::pair<absl::string_view, absl::string_view> kHabits[] = {
    {"?", "help"},    {"bye", "quit"},         {"clear", "new"},
    {"exit", "quit"}, {"options", "set"},      {"reset", "new"},
    {"q", "quit"},    {"regenerate", "retry"}, {"stat", "stats"}};

std::string NearestCommand(absl::string_view name) {
  for (const auto& [word, meant] : kHabits) {
    if (name == word) return std::string(meant);
  }
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.push_back(entry.name);
  return NearestName(name, names);
}

absl::Status UnknownCommand(absl::string_view name) {
  const std::string near = NearestCommand(name);
  return UsageError(
      absl::StrCat("there is no command ", QuotedValue(absl::StrCat("/", name)),
                   near.empty() ? absl::StrCat("; /help lists them")
                                : absl::StrCat("; did you mean /", near, "?"),
                   " (a message that begins with / is written with //)"));
}

}  // namespace

absl::StatusOr<ChatLine> ParseChatLine(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "/"))
    return ChatLine{.text = std::string(line)};
  if (!line.empty() && line[0] == '/') {
    return ChatLine{.text = std::string(line)};
  }
  const size_t end = std::min(line.find_first_of(" \t\r\n"), line.size());
  absl::string_view name = line.substr(0, end);
  ChatLine parsed;
  parsed.text = std::string(absl::StripAsciiWhitespace(line.substr(end)));
  parsed.overwrites = absl::ConsumeSuffix(&name, "!");
  const Entry* const entry =
      std::find_if(std::begin(kEntries), std::end(kEntries),
                   [name](const Entry& e) { return name == e.name; });
  if (entry == std::end(kEntries)) return UnknownCommand(name);
  parsed.command = entry->command;
  if (parsed.overwrites && entry->command != ChatCommand::kSave) {
    return UsageError(
        absl::StrCat("only /save takes \"!\": write ", entry->usage));
  }
  if (entry->takes == Takes::kNothing && !parsed.text.empty()) {
    return UsageError(absl::StrCat("/", name, " takes nothing more, and got ",
                                   QuotedValue(parsed.text)));
  }
  if (entry->takes == Takes::kText && parsed.text.empty()) {
    return UsageError(absl::StrCat("write ", entry->usage));
  }
  return parsed;
}

std::string ChatHelp() {
  std::string help;
  for (const Entry& entry : kEntries) {
    absl::StrAppendFormat(&help, "%-18s%s\n", entry.usage, entry.what);
  }
  absl::StrAppend(
      &help,
      "Anything else is a message; // begins one with \"/\". A line that ends "
      "in \\ goes on in the next one, as pasted lines do. Ctrl-C ends a reply, "
      "and at the prompt clears the line; twice it leaves.\n");
  return help;
}

}  // namespace tandem::cli
