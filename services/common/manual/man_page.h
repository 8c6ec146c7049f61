// The man page of a program, in roff with the macros of man(7), made of its
// commands and flags. Pure; any thread.

#ifndef TANDEM_SERVICES_COMMON_MANUAL_MAN_PAGE_H_
#define TANDEM_SERVICES_COMMON_MANUAL_MAN_PAGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "services/common/manual/command_tree.h"

namespace tandem {

// The only argument of a program that prints its man page.
inline constexpr char kManFlag[] = "--man";

// Section 1. `version` is that of the program.
std::string ManPage(const CommandEntry& program, absl::string_view version);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_MANUAL_MAN_PAGE_H_
