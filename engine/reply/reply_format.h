// How a model writes its replies: the marks of reasoning and of calls of tools.
// Derived from what its chat template writes and its vocabulary has, never from
// names of models. Pure functions; any thread. Deriving reads all tokens and
// renders some short conversations: never on an event loop.

#ifndef TANDEM_ENGINE_REPLY_REPLY_FORMAT_H_
#define TANDEM_ENGINE_REPLY_REPLY_FORMAT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/reply/call_marks.h"
#include "engine/reply/mark_pattern.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

struct ReplyFormat {
  // "hermes", "llama3", "mistral", "granite", "deepseek" or "harmony"; "":
  // tools can not be used.
  std::string tool_format = {};
  // Why tool_format is "": FAILED_PRECONDITION with UNSUPPORTED_TOOLS. OK
  // otherwise.
  absl::Status tools_error = {};
  // What stands around reasoning, as "<think>" and "</think>"; "" without.
  std::string reasoning_begin = {};
  std::string reasoning_end = {};
  // What stands before an answer and not before calls; "" for nothing.
  std::string answer_begin = {};
  // What stands around calls; empty where tool_format is.
  CallMarks calls = {};
  // Replies are messages in channels ("harmony", as gpt-oss has it): each has a
  // header, which says whether it is reasoning, the answer or a call.
  bool has_channels = false;
  // The control tokens that the marks have.
  std::vector<ControlMark> controls = {};
};

// The format of the model with this vocabulary and chat template. A model with
// neither reasoning nor tools has one too, with tools_error.
ReplyFormat DeriveReplyFormat(const Tokenizer& tokenizer);

// The format of that name, which need not be the one that the template shows;
// where it is, with the template's spacing. Reasoning is that of channels in
// "harmony", else as DeriveReplyFormat finds it. tools_error is set where the
// template shows no tools to the model. Errors: INVALID_ARGUMENT, which lists
// the names, for another name; FAILED_PRECONDITION with UNSUPPORTED_TOOLS where
// the vocabulary lacks the tokens of the format.
absl::StatusOr<ReplyFormat> NamedReplyFormat(absl::string_view name,
                                             const Tokenizer& tokenizer);

// The names that NamedReplyFormat takes: "deepseek, granite, ...".
std::string ReplyFormatNames();

// Whether `prompt` has begun the reasoning, so the reply goes on with it: its
// last tokens are the mark that begins it and white space.
bool StartsInReasoning(const ReplyFormat& format, const Tokenizer& tokenizer,
                       absl::Span<const TokenId> prompt);

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_REPLY_FORMAT_H_
