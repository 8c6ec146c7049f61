// Options for a chat template as flags: NAME=VALUE. Pure functions; any thread.

#ifndef TANDEM_TOOLS_TANDEM_TEMPLATE_OPTIONS_H_
#define TANDEM_TOOLS_TANDEM_TEMPLATE_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/template/chat_template.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::cli {

inline constexpr char kTemplateOptionHelp[] =
    "With --chat: NAME=VALUE, a variable of the chat template, as "
    "enable_thinking=false. VALUE is true, false, a number, or else a text "
    "(\"5\" in quotes is a text). date=YYYY-MM-DD is the day that the template "
    "is told, template=NAME another template of the file; may be repeated";

// The options that the flags say, checked (CheckTemplateOptions). Errors name
// the flag.
absl::StatusOr<std::vector<TemplateOption>> ParseTemplateOptions(
    absl::Span<const std::string> flags);

// Puts checked options into `turn`.
void SetTemplateOptions(absl::Span<const TemplateOption> options,
                        v1::TurnRequest* turn);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TEMPLATE_OPTIONS_H_
