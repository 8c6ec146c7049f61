// The prompt of a chat turn as token ids. A pure function; any thread. It may
// take as long as a template's limits allow, so never on an event loop.

#ifndef TANDEM_ENGINE_TOKENIZER_CHAT_TURN_H_
#define TANDEM_ENGINE_TOKENIZER_CHAT_TURN_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/template/chat/chat_template.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// The ids that `request` adds to a history whose last token is `last`; nothing:
// a new session, which begins with BOS where the vocabulary or the template
// says so. Errors: those of CheckChatMessages, CheckTemplateOptions and
// ChatTemplate::Render or RenderAfterReply.
absl::StatusOr<std::vector<TokenId>> EncodeChatTurn(
    const Tokenizer& tokenizer, const ChatRequest& request,
    std::optional<TokenId> last);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_CHAT_TURN_H_
