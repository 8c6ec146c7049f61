// What `/set` sets: the options of generation, by the names of their flags, and
// how drafted text is shown. One thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_SETTINGS_H_
#define TANDEM_TOOLS_TANDEM_CHAT_SETTINGS_H_

#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tandem/v1/types.pb.h"

namespace tandem::cli {

// How text whose tokens were drafted and accepted looks.
enum class Shade { kOff, kDim, kBackground };

struct ChatSettings {
  v1::GenerationOptions generation = {};
  Shade shade = Shade::kDim;
};

// Adds the flags of generation that mean something in a chat: all but
// --logprobs. `options` outlives `command`.
void AddChatOptions(CLI::App* command, v1::GenerationOptions* options);

// Sets option `name` ("temperature", "stop"), or takes it back where `value` is
// "default". An option that may be repeated gets one value more. A usage error
// says what is wrong, the range, or the nearest name; the settings are then as
// before.
absl::Status SetOption(absl::string_view name, absl::string_view value,
                       ChatSettings* settings);

// The options as a table: name, value, what it is, with its default.
std::vector<std::vector<std::string>> OptionTable(const ChatSettings& settings);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_SETTINGS_H_
