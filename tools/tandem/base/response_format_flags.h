// The flags that say which texts a reply may be: --json-schema, --json-object,
// --regex, --grammar and --choice.

#ifndef TANDEM_TOOLS_TANDEM_BASE_RESPONSE_FORMAT_FLAGS_H_
#define TANDEM_TOOLS_TANDEM_BASE_RESPONSE_FORMAT_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "tandem/v1/types.pb.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

struct ResponseFormatFlags {
  std::optional<std::string> json_schema_file = {};
  bool json_object = false;
  std::optional<std::string> regex = {};
  std::optional<std::string> grammar_file = {};
  std::vector<std::string> choices = {};
};

// `flags` outlives `command`.
void AddResponseFormatFlags(CLI::App* command, ResponseFormatFlags* flags);

// Sets options->response_format by the flags, reading their files; nothing
// where none was given. A usage error where several were given, a file can not
// be read, or a text is not UTF-8.
absl::Status ReadResponseFormat(const ResponseFormatFlags& flags, const Io& io,
                                v1::GenerationOptions* options);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_RESPONSE_FORMAT_FLAGS_H_
