// What a program's help and its errors about flags have in common, for every
// program of tandem. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COMMON_FLAG_MESSAGES_H_
#define TANDEM_SERVICES_COMMON_FLAG_MESSAGES_H_

#include <map>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"

namespace tandem {

// Where values may have come from.
struct FlagSources {
  std::vector<std::string> arguments;            // without the program's name
  std::string config_file = {};                  // "": none
  std::map<std::string, int> config_lines = {};  // by key, from 1
};

// The deepest subcommand that the arguments named, or `app`.
const CLI::App* ChosenCommand(const CLI::App& app);
// As a user types it: "tandem bench serve".
std::string CommandPath(const CLI::App& command);
// The help of `command` with the whole path in its usage line.
std::string HelpText(const CLI::App& command);
// Lines that end the help of `command`: whole command lines that work.
void SetExamples(CLI::App* command, const std::vector<std::string>& lines);

// `error` of app.parse as one sentence: which flag, environment variable or
// line of the config file is wrong, what was given, what is right, and where
// the help is. `app` and its subcommands are as parse left them.
std::string FlagErrorMessage(const CLI::App& app, const CLI::ParseError& error,
                             const FlagSources& sources);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_FLAG_MESSAGES_H_
