// The prompt of a turn: parsed once from the request, then made token ids by
// the model's tokenizer. Pure functions, but for the day; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_PROMPT_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_PROMPT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/grammar/automaton/token_masks.h"
#include "engine/sampling/gen_options.h"
#include "engine/template/chat/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

struct PromptText {
  std::string text;
  bool parse_special = false;
};
// What a prompt is made of: ids, text or messages.
using PromptSource =
    std::variant<std::vector<TokenId>, PromptText, ChatRequest>;

// Takes the prompt out of `turn`; messages get today's day in UTC. Errors:
// EMPTY_PROMPT where there is none, INVALID_OPTIONS that names the field
// ("messages.messages[1].role", "tools[0].name", "template_options.date").
absl::StatusOr<PromptSource> ParsePrompt(v1::TurnRequest* turn);

// OK, or what a model with `tokenizer` has against the prompt: INVALID_TOKEN
// for an id out of range, UNSUPPORTED_CHAT_TEMPLATE for messages where it has
// no template, INVALID_OPTIONS for a template that it does not have.
absl::Status CheckPrompt(const PromptSource& source,
                         const Tokenizer& tokenizer);

// What a prompt has to fit in.
struct PromptRoom {
  int64_t tokens_before = 0;   // of the session
  Position context_max = 0;    // of the model
  size_t token_bytes_max = 0;  // of a token's text; 0: not known
};
// CONTEXT_EXCEEDED for a prompt that can not fit, found without tokenising it:
// no token stands for more than token_bytes_max bytes of text. Messages pass,
// since a template may leave parts of them out.
absl::Status CheckPromptRoom(const PromptSource& source,
                             const PromptRoom& room);
// The tokens that `bytes` of text take at least.
int64_t TokensAtLeast(size_t bytes, size_t token_bytes_max);

// Bytes of the prompt's ids or text, or of all texts of messages and tools.
int64_t PromptBytes(const PromptSource& source);

// False for what may take longer than an event loop can spare: messages, since
// a template may run long (TemplateLimits), and texts over kInlineTextBytes.
inline constexpr size_t kInlineTextBytes = 2048;  // well below 1 ms
bool IsShort(const PromptSource& source);

struct SplitRules;  // split_reply.h
struct ReplyFormat;

struct EncodedPrompt {
  std::vector<TokenId> ids;
  // The day that the chat template was given; "" without messages.
  std::string template_date = {};
  // What the reply may be, of the turn's options and tools, and the grammar of
  // it.
  std::optional<GrammarSource> response_format = {};
  std::shared_ptr<const TokenMasks> grammar = {};
  // The prompt has begun the reasoning of a model that reasons.
  bool starts_in_reasoning = false;
};

// The prompt's ids after a history that ends with `last` (nothing: a new
// session). `source` has passed CheckPrompt. Errors: those of EncodeChatTurn,
// by fields of the turn.
absl::StatusOr<EncodedPrompt> EncodePrompt(const PromptSource& source,
                                           const Tokenizer& tokenizer,
                                           std::optional<TokenId> last);

// What a prompt is encoded for.
struct PromptPlace {
  const Tokenizer& tokenizer;
  std::optional<TokenId> last = {};  // of the history; nothing: a new session
  // Null where the reply is not split into its parts.
  const SplitRules* split = nullptr;
  const ReplyFormat* reply_format = nullptr;
};
// The same with the grammar that `options`, and tools in a split reply, ask
// for. Errors: also those of CompileOptions; of tools by "tools[1].parameters".
absl::StatusOr<EncodedPrompt> EncodeTurn(const PromptSource& source,
                                         const GenOptions& options,
                                         const PromptPlace& place);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_PROMPT_H_
