#include "engine/tokenizer/special_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tandem {
namespace {

TEST(SpecialNamesTest, KnowsMarkersByTheirNames) {
  for (const char* marker : {"<|a|>", "<｜a｜>", "[INST]", "<end_of_turn>"}) {
    EXPECT_TRUE(IsChatMarker(marker)) << marker;
  }
  for (const char* other : {"", "<||>", "<a>", "|>", "<|a", "<tool_call>"}) {
    EXPECT_FALSE(IsChatMarker(other)) << other;
  }
}

TEST(SpecialNamesTest, KnowsEndsOfRepliesByTheirNames) {
  for (const char* end :
       {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>",
        "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>",
        "[EOT]", "[EOS]", "<|end_of_text|>", "<｜end▁of▁sentence｜>",
        "<end_of_utterance>", "</s>", "<|file_sep|>"}) {
    EXPECT_TRUE(IsEndOfReplyName(end)) << end;
  }
  for (const char* other : {"<|im_start|>", "<s>", "", "EOT", "<|eot_id|> "}) {
    EXPECT_FALSE(IsEndOfReplyName(other)) << other;
  }
}

TEST(SpecialNamesTest, KnowsEndsThatEndLessThanAReply) {
  const auto ends_less = [](absl::string_view piece,
                            const std::set<std::string>& names) {
    return EndsLessThanReply(piece, [&names](absl::string_view name) {
      return names.contains(std::string(name));
    });
  };
  EXPECT_TRUE(ends_less("<|end|>", {"<|return|>", "<|call|>"}));
  EXPECT_TRUE(ends_less("<|end|>", {"<|calls|>", "<|flush|>"}));
  EXPECT_FALSE(ends_less("<|end|>", {"<|return|>"}));
  EXPECT_FALSE(ends_less("<|end|>", {"<|call|>", "<|flush|>"}));
  EXPECT_FALSE(ends_less("<|return|>", {"<|return|>", "<|call|>"}));
  EXPECT_TRUE(ends_less("</s>", {"<turn|>", "<|tool_response>"}));
  EXPECT_FALSE(ends_less("</s>", {"<s>"}));
}

}  // namespace
}  // namespace tandem
