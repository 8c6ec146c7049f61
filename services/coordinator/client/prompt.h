// The prompt of a turn as token ids: text or messages, by the model's
// tokenizer. Pure functions, but for the day; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_PROMPT_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_PROMPT_H_

#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/template/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Messages and template options of a turn, with today's day in UTC, or
// INVALID_OPTIONS that names the field ("messages.messages[1].role",
// "template_options.date").
absl::StatusOr<ChatRequest> ParseChat(const v1::TurnRequest& turn);

// OK, or UNSUPPORTED_CHAT_TEMPLATE for messages that `tokenizer` has no
// template for, or INVALID_OPTIONS for a template that it does not have.
// ParseChat was OK.
absl::Status CheckPrompt(const v1::TurnRequest& turn,
                         const Tokenizer& tokenizer);

struct EncodedPrompt {
  std::vector<TokenId> ids;
  // The day that the chat template was told; "" without messages.
  std::string template_date = {};
};

// The ids of the turn's text or messages, after a history that ends with
// `last` (nothing: a new session). Messages may take as long as a template may
// run (TemplateLimits), so not on an event loop. Errors: those of
// EncodeChatTurn, by fields of the turn.
absl::StatusOr<EncodedPrompt> EncodePrompt(const v1::TurnRequest& turn,
                                           const Tokenizer& tokenizer,
                                           std::optional<TokenId> last);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_PROMPT_H_
