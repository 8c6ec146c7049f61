// What a reply may be that may call tools. Pure functions; any thread.

#ifndef TANDEM_ENGINE_REPLY_TOOL_GRAMMAR_H_
#define TANDEM_ENGINE_REPLY_TOOL_GRAMMAR_H_

#include <string>

#include "absl/types/span.h"
#include "engine/grammar/grammar_source.h"
#include "engine/reply/reply_format.h"
#include "engine/template/chat/chat_template.h"

namespace tandem {

enum class ToolChoice {
  kAuto,      // the model decides
  kNone,      // it calls none
  kRequired,  // it calls one at least, and writes no answer
};

struct ToolRules {
  ToolChoice choice = ToolChoice::kAuto;
  // The only tool that may be called; "": all.
  std::string tool_name = {};
  // Calls at most; 0: kTagCountMax. The format may allow fewer.
  int calls_max = 0;
};

// Whether a prompt has begun the reasoning (StartsInReasoning).
enum class StartsIn { kAnswer, kReasoning };

// Lets the model's reasoning come before the text of `source`, as its preamble,
// and what the model writes before an answer behind it, unless `source` has an
// answer_begin; nothing where the model has neither.
void AllowReasoning(const ReplyFormat& format, StartsIn starts_in,
                    GrammarSource* source);

// What a reply with these tools may be, for GenOptions::response_format.
// `format` has a tool_format. A tool without parameters takes none. Schemas are
// not looked at but for this: one that does not say that it is of an object
// does then.
GrammarSource ToolGrammar(const ReplyFormat& format,
                          absl::Span<const ChatTool> tools,
                          const ToolRules& rules, StartsIn starts_in);

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_TOOL_GRAMMAR_H_
