#include "engine/tokenizer/special_names.h"

#include <algorithm>
#include <iterator>

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
         std::find(std::begin(kMarkers), std::end(kMarkers), piece) !=
             std::end(kMarkers);
}

bool IsEndOfReplyName(absl::string_view piece) {
  constexpr absl::string_view kNames[] = {
      "<|eot_id|>",      "<|eom_id|>",    "<|im_end|>",
      "<|end|>",         "<end_of_turn>", "<|endoftext|>",
      "<|end_of_text|>", "<|EOT|>",       "<｜end▁of▁sentence｜>"};
  return std::find(std::begin(kNames), std::end(kNames), piece) !=
         std::end(kNames);
}

}  // namespace tandem
