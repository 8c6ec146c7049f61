// Hyper-parameters of other models whose value asks for nothing here: a file
// that says "no cap" or "no experts" is a file without the key. Pure functions.

#ifndef TANDEM_ENGINE_MODEL_NEUTRAL_KEYS_H_
#define TANDEM_ENGINE_MODEL_NEUTRAL_KEYS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

// True where `entry`, whose key without the architecture's name is `suffix`,
// changes no result of a model that knows no such key.
bool IsNeutral(absl::string_view suffix, const GgufEntry& entry);

// True where the entry's value is the number.
bool IsNumber(const GgufEntry& entry, double number);

// The value for a message: "8", "true", "'yarn'", "an array of 4 elements".
std::string DescribeValue(const GgufEntry& entry);

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_NEUTRAL_KEYS_H_
