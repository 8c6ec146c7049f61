// Scripts by which a shell completes a command line: commands, flags, values
// of flags that are one of a few, and else names of files. Made of the command
// tree, so they know each flag that the program has. Pure functions; any
// thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_COMPLETION_SCRIPT_H_
#define TANDEM_TOOLS_TANDEM_BASE_COMPLETION_SCRIPT_H_

#include <string>

#include "services/common/manual/command_tree.h"

namespace tandem::cli {

// For bash 4.4 or later, to be sourced.
std::string BashCompletion(const CommandEntry& program);
// For a file _NAME in a folder of $fpath.
std::string ZshCompletion(const CommandEntry& program);
// For a file NAME.fish in ~/.config/fish/completions.
std::string FishCompletion(const CommandEntry& program);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_COMPLETION_SCRIPT_H_
