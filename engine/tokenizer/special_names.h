// What the names of tokens say: which are markers of chats, and which end a
// reply. Pure functions; any thread.

#ifndef TANDEM_ENGINE_TOKENIZER_SPECIAL_NAMES_H_
#define TANDEM_ENGINE_TOKENIZER_SPECIAL_NAMES_H_

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace tandem {

// True for the spelling of a marker: "<|...|>", "[INST]" and the like. A token
// of such a name is special even where the file says user-defined.
bool IsChatMarker(absl::string_view piece);

// True for the name of a token that ends a reply, as "<|im_end|>". The list is
// the one that users of GGUF files know from llama.cpp.
bool IsEndOfReplyName(absl::string_view piece);

// True where a token of the name `piece`, which IsEndOfReplyName takes, ends
// less than a reply in a vocabulary: in gpt-oss "<|end|>" ends a message, and
// "<|return|>" or "<|call|>" the reply. `has` says whether the vocabulary has a
// special token of a name.
using HasSpecialName = absl::FunctionRef<bool(absl::string_view name)>;
bool EndsLessThanReply(absl::string_view piece, HasSpecialName has);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_SPECIAL_NAMES_H_
