#include "engine/tokenizer/special_names.h"

#include <gtest/gtest.h>

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
  EXPECT_TRUE(IsEndOfReplyName("<|eot_id|>"));
  EXPECT_FALSE(IsEndOfReplyName("<|im_start|>"));
}

}  // namespace
}  // namespace tandem
