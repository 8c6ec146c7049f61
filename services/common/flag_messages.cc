#include "services/common/flag_messages.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/common/flag_values.h"

namespace tandem {
namespace {

// What CLI11 says of a key that it does not know.
constexpr char kUnknownKey[] = "INI was not able to parse ";

bool IsFlag(absl::string_view argument) {
  return argument.size() > 1 && argument[0] == '-' && argument != "--";
}

std::string DidYouMean(absl::string_view word,
                       const std::vector<std::string>& names) {
  const std::string near = NearestName(word, names);
  return near.empty() ? "" : absl::StrCat("; did you mean ", near, "?");
}

// The flags that may stand after `command`: its own and its parents'.
std::vector<std::string> FlagsOf(const CLI::App* command) {
  std::vector<std::string> names;
  for (; command != nullptr; command = command->get_parent()) {
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back(absl::StrCat("--", name));
      }
    }
  }
  return names;
}

std::vector<std::string> SubcommandsOf(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* sub : command.get_subcommands({})) {
    names.push_back(sub->get_name());
  }
  return names;
}

std::string PositionalsOf(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) {
      names.push_back(option->get_name(/*positional=*/true));
    }
  }
  return absl::StrJoin(names, " ");
}

std::string UnknownFlag(const CLI::App* command, absl::string_view argument) {
  const absl::string_view name = argument.substr(0, argument.find('='));
  return absl::StrCat("there is no flag ", QuotedValue(name),
                      DidYouMean(name, FlagsOf(command)));
}

std::string StrayWord(const CLI::App& command, absl::string_view word) {
  const std::vector<std::string> subcommands = SubcommandsOf(command);
  if (!subcommands.empty()) {
    return absl::StrCat("there is no command ", QuotedValue(word),
                        DidYouMean(word, subcommands));
  }
  const std::string positionals = PositionalsOf(command);
  return absl::StrCat(
      QuotedValue(word), " is one argument too many: ",
      positionals.empty()
          ? absl::StrCat(CommandPath(command), " takes flags only")
          : absl::StrCat(CommandPath(command), " takes ", positionals,
                         "; put quotes around a text of several words"));
}

// The first flag that was left over; else, where `words` count, the first
// word; "": neither. CLI11's own message lists them from the last to the first.
std::string FirstStray(const CLI::App& app, const FlagSources& sources,
                       bool words) {
  const CLI::App* command = ChosenCommand(app);
  std::vector<std::string> left = app.remaining(/*recurse=*/true);
  const auto is_left = [&left](const std::string& argument) {
    return std::find(left.begin(), left.end(), argument) != left.end();
  };
  for (const std::string& argument : sources.arguments) {
    if (IsFlag(argument) && is_left(argument)) {
      return UnknownFlag(command, argument);
    }
  }
  if (!words) return "";
  // A word may stand there twice, once where it belongs: the last one is left.
  const std::vector<std::string>& given = sources.arguments;
  size_t first = given.size();
  for (size_t i = given.size(); i-- > 0 && !left.empty();) {
    const auto found = std::find(left.begin(), left.end(), given[i]);
    if (found == left.end() || given[i] == "--") continue;
    left.erase(found);
    first = i;
  }
  return first < given.size() ? StrayWord(*command, given[first]) : "";
}

const CLI::Option* FindOption(const CLI::App& app, absl::string_view name) {
  for (const CLI::App* command = ChosenCommand(app); command != nullptr;
       command = command->get_parent()) {
    const CLI::Option* option = command->get_option_no_throw(std::string(name));
    if (option != nullptr) return option;
  }
  return nullptr;
}

// "FILE:3", or "FILE" where the key was not found.
std::string PlaceInConfig(const FlagSources& sources, const std::string& key) {
  const auto line = sources.config_lines.find(key);
  return line == sources.config_lines.end()
             ? sources.config_file
             : absl::StrCat(sources.config_file, ":", line->second);
}

// "--threads", with the variable or the line of the config file before it
// where the value came from there.
std::string NameWithSource(const CLI::App& app, absl::string_view name,
                           const FlagSources& sources) {
  const CLI::Option* option = FindOption(app, name);
  const bool is_argument =
      !absl::StartsWith(name, "--") ||
      std::any_of(sources.arguments.begin(), sources.arguments.end(),
                  [name](const std::string& argument) {
                    return argument == name ||
                           absl::StartsWith(argument, absl::StrCat(name, "="));
                  });
  if (option == nullptr || is_argument) return std::string(name);
  const std::string& variable = option->get_envname();
  const char* value = variable.empty() ? nullptr : getenv(variable.c_str());
  if (value != nullptr && *value != '\0') {
    return absl::StrCat(variable, " (the same as ", name, ")");
  }
  if (sources.config_file.empty()) return std::string(name);
  return absl::StrCat(PlaceInConfig(sources, std::string(name.substr(2))), ": ",
                      name);
}

// A value that is neither true nor false is all that the conversions refuse:
// numbers have validators.
std::string WrongSwitch(const CLI::App& app, absl::string_view what,
                        const FlagSources& sources) {
  if (absl::ConsumePrefix(&what, "Could not convert: ")) {
    const size_t equals = what.find(" = ");
    if (equals == absl::string_view::npos) return std::string(what);
    return absl::StrCat(NameWithSource(app, what.substr(0, equals), sources),
                        ": ", QuotedValue(what.substr(equals + 3)),
                        " is neither true nor false");
  }
  // The name of a key in the config file has no dashes.
  what = what.substr(0, what.find(':'));
  absl::ConsumePrefix(&what, "--");
  return absl::StrCat(NameWithSource(app, absl::StrCat("--", what), sources),
                      ": the value is neither true nor false");
}

std::string WrongCount(absl::string_view what) {
  const absl::string_view name = what.substr(0, what.find(": "));
  if (absl::EndsWith(what, "missing")) {
    return absl::StrCat(name, " needs a value");
  }
  if (absl::ConsumeSuffix(&what, " was given a disallowed flag override")) {
    return absl::StrCat(what, " takes no value");
  }
  if (absl::StrContains(what, ": At Most ")) {
    return absl::StrCat(name, " is given more often than it may be");
  }
  return std::string(what);
}

std::string Missing(const CLI::App& app, absl::string_view what,
                    const FlagSources& sources) {
  // A misspelled flag is the likely reason.
  const CLI::App* command = ChosenCommand(app);
  const std::vector<std::string> subcommands = SubcommandsOf(*command);
  const std::string stray = FirstStray(app, sources, !subcommands.empty());
  if (!stray.empty()) return stray;
  if (subcommands.empty()) return std::string(what);
  return absl::StrCat(CommandPath(*command),
                      " needs a command: ", absl::StrJoin(subcommands, ", "));
}

std::string WrongConfig(const CLI::App& app, absl::string_view what,
                        const FlagSources& sources) {
  if (!absl::ConsumePrefix(&what, kUnknownKey)) {
    return absl::StrCat(sources.config_file, ": ", what);
  }
  std::vector<std::string> keys;
  for (const std::string& flag : FlagsOf(&app)) keys.push_back(flag.substr(2));
  return absl::StrCat(PlaceInConfig(sources, std::string(what)),
                      ": there is no key ", QuotedValue(what),
                      DidYouMean(what, keys));
}

std::string Sentence(const CLI::App& app, const CLI::ParseError& error,
                     const FlagSources& sources) {
  const std::string what = error.what();
  const std::string kind = error.get_name();
  // This one has the command's name in place of its own.
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const std::string stray = FirstStray(app, sources, /*words=*/true);
    return stray.empty() ? what : stray;
  }
  if (kind == "RequiredError") return Missing(app, what, sources);
  if (kind == "ArgumentMismatch") return WrongCount(what);
  if (kind == "ConversionError") return WrongSwitch(app, what, sources);
  if (kind == "ConfigError") return WrongConfig(app, what, sources);
  if (kind == "FileError") {
    return absl::StrCat("--config: can not read ", sources.config_file);
  }
  if (kind == "ExcludesError") {
    return absl::StrCat(absl::StrReplaceAll(what, {{" excludes ", " and "}}),
                        " exclude each other");
  }
  if (kind == "ValidationError") {
    const size_t colon = what.find(": ");
    if (colon == std::string::npos) return what;
    return absl::StrCat(
        NameWithSource(app, absl::string_view(what).substr(0, colon), sources),
        what.substr(colon));
  }
  return what;
}

}  // namespace

const CLI::App* ChosenCommand(const CLI::App& app) {
  const CLI::App* command = &app;
  while (true) {
    const auto chosen = command->get_subcommands();
    if (chosen.empty()) return command;
    command = chosen.front();
  }
}

std::string CommandPath(const CLI::App& command) {
  if (command.get_parent() == nullptr) return command.get_name();
  return absl::StrCat(CommandPath(*command.get_parent()), " ",
                      command.get_name());
}

std::string HelpText(const CLI::App& command) {
  return command.get_parent() == nullptr
             ? command.help()
             : command.help(CommandPath(*command.get_parent()));
}

void SetExamples(CLI::App* command, const std::vector<std::string>& lines) {
  command->footer(absl::StrCat("Examples:\n  ", absl::StrJoin(lines, "\n  ")));
}

std::string FlagErrorMessage(const CLI::App& app, const CLI::ParseError& error,
                             const FlagSources& sources) {
  return absl::StrCat(
      absl::StrReplaceAll(Sentence(app, error, sources), {{"\n", " "}}),
      " (see ", CommandPath(*ChosenCommand(app)), " --help)");
}

}  // namespace tandem
