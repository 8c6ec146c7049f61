// Where what outlives a run lies: the user's state folder, by the rules of the
// XDG Base Directory Specification. Functions for any thread, while no other
// one makes files: the process' umask changes for a moment.

#ifndef TANDEM_TOOLS_TANDEM_UP_STATE_HOME_H_
#define TANDEM_TOOLS_TANDEM_UP_STATE_HOME_H_

#include <string>
#include <system_error>

#include "absl/strings/string_view.h"

namespace tandem::cli {

// $XDG_STATE_HOME/tandem/NAME, else ~/.local/state/tandem/NAME; empty where the
// environment has neither of XDG_STATE_HOME and HOME.
std::string StatePath(absl::string_view name);

// Makes the folder and missing ones above it, which are for the user alone; one
// that is there stays as it is. "" is always there.
std::error_code MakePrivateFolder(const std::string& path);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_STATE_HOME_H_
