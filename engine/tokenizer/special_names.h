// What the names of tokens say: which are markers of chats, and which end a
// reply. Pure functions; any thread.

#ifndef TANDEM_ENGINE_TOKENIZER_SPECIAL_NAMES_H_
#define TANDEM_ENGINE_TOKENIZER_SPECIAL_NAMES_H_

#include "absl/strings/string_view.h"

namespace tandem {

// True for the spelling of a marker: "<|...|>", "[INST]" and the like. A token
// of such a name is special even where the file says user-defined.
bool IsChatMarker(absl::string_view piece);

// True for the name of a token that ends a reply, as "<|im_end|>".
bool IsEndOfReplyName(absl::string_view piece);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_SPECIAL_NAMES_H_
