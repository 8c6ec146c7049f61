#include "engine/tokenizer/special_names.h"

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"

namespace tandem {

bool IsChatMarker(absl::string_view piece) {
  constexpr absl::string_view kMarkers[] = {
      "<start_of_turn>", "<end_of_turn>",   "[INST]",
      "[/INST]",         "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"};
  const auto is_between = [piece](absl::string_view begin,
                                  absl::string_view end) {
    return piece.size() > begin.size() + end.size() &&
           absl::StartsWith(piece, begin) && absl::EndsWith(piece, end);
  };
  return is_between("<|", "|>") || is_between("<｜", "｜>") ||
         absl::c_linear_search(kMarkers, piece);
}

bool IsEndOfReplyName(absl::string_view piece) {
  constexpr absl::string_view kNames[] = {
      // Of a turn.
      "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>",
      "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<turn|>",
      "<|tool_response>", "<end_of_utterance>", "<|EOT|>", "<EOT>", "_<EOT>",
      "[EOT]",
      // Of a text.
      "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]",
      "<｜end▁of▁sentence｜>",
      // Of a file or a gap in one, where models of code write.
      "<|fim_pad|>", "<fim_pad>", "<fim-pad>", "<|fim_repo|>", "<fim-repo>",
      "<|repo_name|>", "<reponame>", "<REPO>", "<|file_sep|>"};
  return absl::c_linear_search(kNames, piece);
}

bool EndsLessThanReply(absl::string_view piece, HasSpecialName has) {
  // A vocabulary with both names: `piece` does not end replies there.
  struct Rule {
    absl::string_view piece;
    absl::string_view first;
    absl::string_view second;
  };
  constexpr Rule kRules[] = {
      {"<|end|>", "<|return|>", "<|call|>"},    // gpt-oss
      {"<|end|>", "<|calls|>", "<|flush|>"},    // Solar Open
      {"</s>", "<turn|>", "<|tool_response>"},  // Gemma 4: HTML
  };
  return absl::c_any_of(kRules, [&](const Rule& rule) {
    return rule.piece == piece && has(rule.first) && has(rule.second);
  });
}

}  // namespace tandem
