// The control tokens of replies in channels, as gpt-oss writes them ("harmony",
// github.com/openai/harmony, docs/format.md):
//
//   <|channel|>analysis<|message|>...<|end|>
//   <|start|>assistant<|channel|>commentary to=functions.NAME
//       <|constrain|>json<|message|>{...}<|call|>
//   <|start|>assistant<|channel|>final<|message|>...<|return|>

#ifndef TANDEM_ENGINE_REPLY_CHANNEL_NAMES_H_
#define TANDEM_ENGINE_REPLY_CHANNEL_NAMES_H_

#include "absl/strings/string_view.h"

namespace tandem {

inline constexpr absl::string_view kStartMark = "<|start|>";
inline constexpr absl::string_view kChannelMark = "<|channel|>";
inline constexpr absl::string_view kMessageMark = "<|message|>";
inline constexpr absl::string_view kEndMark = "<|end|>";
// All that a vocabulary must have. "<|constrain|>", "<|call|>" and
// "<|return|>" end replies or say nothing.
inline constexpr absl::string_view kChannelMarks[] = {kStartMark, kChannelMark,
                                                      kMessageMark, kEndMark};

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_CHANNEL_NAMES_H_
