// The prompt of a turn as token ids: text or messages, by the model's
// tokenizer. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_PROMPT_H_
#define TANDEM_SERVICES_COORDINATOR_PROMPT_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// The messages of a turn, or INVALID_OPTIONS that names the field
// ("messages.messages[1].role").
absl::StatusOr<std::vector<ChatMessage>> ParseMessages(
    const v1::ChatMessages& messages);

// OK, or UNSUPPORTED_CHAT_TEMPLATE for messages that `tokenizer` has no
// template for.
absl::Status CheckPrompt(const v1::TurnRequest& turn,
                         const Tokenizer& tokenizer);

// What a message adds to its content, about, in bytes.
inline constexpr size_t kMessageFormatBytes = 64;

// Bytes of text in the prompt, about: what tokenising it costs.
size_t PromptTextBytes(const v1::TurnRequest& turn);

// The ids of the turn's text or messages, after a history that ends with
// `last` (nothing: a new session). ParseMessages and CheckPrompt were OK.
std::vector<TokenId> EncodePrompt(const v1::TurnRequest& turn,
                                  const Tokenizer& tokenizer,
                                  std::optional<TokenId> last);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_PROMPT_H_
