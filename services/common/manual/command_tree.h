// A program's commands and flags as values, read from CLI11's tree: what its
// man page and its shell completion are made of. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COMMON_MANUAL_COMMAND_TREE_H_
#define TANDEM_SERVICES_COMMON_MANUAL_COMMAND_TREE_H_

#include <string>
#include <vector>

#include "CLI/App.hpp"

namespace tandem {

enum class ValueKind {
  kNone,    // a switch
  kNumber,  // nothing that could be proposed
  kChoice,  // one of `choices`
  kText,    // any text, mostly the name of a file
};

// A flag or a positional argument.
struct ArgumentEntry {
  std::vector<std::string> names;  // "--draft"; of a positional its name alone
  ValueKind kind = ValueKind::kNone;
  std::vector<std::string> choices = {};
  std::string type = {};  // of the value as the help has it: "INT:0 .. 1024"
  std::string help = {};
  std::string default_value = {};
  std::string variable = {};  // of the environment; empty: none
  bool is_required = false;
};

struct CommandEntry {
  std::string path;  // as it is typed: "tandem bench serve"
  std::string description;
  std::vector<std::string> examples;
  std::vector<ArgumentEntry> flags;        // its own, not its parents'
  std::vector<ArgumentEntry> positionals;  // in their order
  std::vector<CommandEntry> commands;

  // The last word of `path`.
  std::string name() const;
};

// `app` and all below it. Hidden flags are left out. Examples are those of
// SetExamples (flag_messages.h), choices those of OneOf (flag_values.h).
CommandEntry DescribeCommand(const CLI::App& app);

// The first part of a help or a description, which says what the rest details.
std::string FirstClause(const std::string& text);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_MANUAL_COMMAND_TREE_H_
