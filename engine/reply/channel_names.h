// The words of replies in channels, as gpt-oss writes them ("harmony",
// github.com/openai/harmony, docs/format.md), behind "<|start|>assistant":
//
//   <|channel|>analysis<|message|>...<|end|>
//   <|start|>assistant<|channel|>final<|message|>...<|return|>
//
// or, in place of the second message, a call in one of two spellings:
//
//   <|start|>assistant to=functions.NAME<|channel|>commentary json<|message|>
//       {...}<|call|>
//   <|start|>assistant<|channel|>commentary to=functions.NAME
//       <|constrain|>json<|message|>{...}<|call|>

#ifndef TANDEM_ENGINE_REPLY_CHANNEL_NAMES_H_
#define TANDEM_ENGINE_REPLY_CHANNEL_NAMES_H_

#include "absl/strings/string_view.h"

namespace tandem {

inline constexpr char kHarmony[] = "harmony";

inline constexpr absl::string_view kStartMark = "<|start|>";
inline constexpr absl::string_view kChannelMark = "<|channel|>";
inline constexpr absl::string_view kMessageMark = "<|message|>";
inline constexpr absl::string_view kEndMark = "<|end|>";
inline constexpr absl::string_view kCallMark = "<|call|>";
// All that a vocabulary must have. "<|constrain|>" says nothing, and
// "<|return|>" ends replies.
inline constexpr absl::string_view kChannelMarks[] = {
    kStartMark, kChannelMark, kMessageMark, kEndMark, kCallMark};

// What stands before the name of the function that a message calls, and its
// channel.
inline constexpr char kRecipient[] = " to=";
inline constexpr char kFunctions[] = "functions.";
inline constexpr char kCommentary[] = "commentary";

// What stands around reasoning, and before the answer.
inline constexpr char kAnalysisBegin[] = "<|channel|>analysis<|message|>";
inline constexpr char kAnalysisEnd[] = "<|end|><|start|>assistant";
inline constexpr char kFinalBegin[] = "<|channel|>final<|message|>";

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_CHANNEL_NAMES_H_
