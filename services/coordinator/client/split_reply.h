// Replies in parts: which turns have them, what such a reply may be, and the
// parts of a turn's events. Functions are pure; a SplitReply is owned by the
// stream of the turn's client and belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_SPLIT_REPLY_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_SPLIT_REPLY_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/reply/reply_format.h"
#include "engine/reply/reply_splitter.h"
#include "engine/reply/tool_grammar.h"
#include "engine/sampling/gen_options.h"
#include "services/coordinator/client/prompt.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Whether the prompt has tools.
bool HasTools(const PromptSource& source);

// What a turn's request says of the parts of its reply.
struct SplitRules {
  bool is_split = false;
  ToolRules tools = {};
};
// Of a turn that ParsePrompt takes.
SplitRules ParseSplitRules(const v1::TurnRequest& turn);

// OK, or UNSUPPORTED_TOOLS where the prompt has tools and `format`, the
// model's, does not say how they are called. `format` may be null.
absl::Status CheckTools(const PromptSource& source, const ReplyFormat* format);

// Where a reply is split.
struct SplitPlace {
  const SplitRules& rules;
  const ReplyFormat& format;
  bool starts_in_reasoning = false;  // the prompt has begun it
};
// What the reply may be: where there are tools, text with calls of them; else
// the format that `options` ask for, after the model's reasoning, or nothing.
std::optional<GrammarSource> FormatOfReply(const PromptSource& source,
                                           const GenOptions& options,
                                           const SplitPlace& place);

// An error of FormatOfReply's grammar by the fields of the turn that it was
// made of: "tools[2].parameters".
absl::Status InToolsWords(const absl::Status& status,
                          const PromptSource& source, const SplitRules& rules);

// The parts of one turn's reply, from what its client has.
class SplitReply {
 public:
  // The turn's setup has a reply_split.
  explicit SplitReply(const TurnRunner& runner);

  // What lies between `from`, which the client has, and `to`. Goes on from one
  // call to the next.
  v1::ReplyDelta Between(const TurnRunner& runner, const TurnProgress& from,
                         const TurnProgress& to);
  // All behind `from`; the turn has ended.
  v1::ReplyDelta Rest(const TurnRunner& runner, const TurnProgress& from);

 private:
  // The tokens of the turn up to `to`.
  ReplyParts Take(const TurnRunner& runner, const TurnProgress& to);

  ReplySplitter splitter_;
  int64_t tokens_ = 0;  // that splitter_ has
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_SPLIT_REPLY_H_
