#include "engine/tokenizer/chat_turn.h"

#include "engine/base/status.h"

namespace tandem {

absl::StatusOr<std::vector<TokenId>> EncodeChatTurn(
    const Tokenizer& tokenizer, const ChatRequest& request,
    std::optional<TokenId> last) {
  const ChatTemplate& chat_template = tokenizer.chat_template();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TextPart> parts,
                          last.has_value()
                              ? chat_template.RenderAfterReply(request)
                              : chat_template.Render(request));
  return tokenizer.EncodeChat(parts, last);
}

}  // namespace tandem
