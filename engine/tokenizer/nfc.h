// Unicode's normalisation form C, which some tokenizers bring texts to first.
// Pure functions; any thread.

#ifndef TANDEM_ENGINE_TOKENIZER_NFC_H_
#define TANDEM_ENGINE_TOKENIZER_NFC_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

// `text` in NFC (Unicode, annex 15): where it is not so already, the result
// stands in `*buffer`, else it is `text` itself. Bytes that are not UTF-8 stay
// as they are, and nothing composes over them. Near-linear time.
absl::string_view ToNfc(absl::string_view text, std::string* buffer);

// The version of Unicode that ToNfc and the classes of characters follow, as
// "14.0.0".
absl::string_view UnicodeVersion();

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_NFC_H_
