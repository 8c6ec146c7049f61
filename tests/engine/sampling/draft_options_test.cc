#include "engine/sampling/draft_options.h"

#include <gtest/gtest.h>

#include <vector>

namespace tandem {
namespace {

TEST(DraftOptionsTest, LeavesOutWhatADrafterDoesNotHave) {
  GenOptions options;
  options.temperature = 0.5f;
  options.choice = 7;
  options.logprobs = 3;
  options.logit_bias = {{.id = 9, .bias = 1}, {.id = 10, .bias = 2}};
  options.stop_token_ids = {10, 4, 12};
  ASSERT_FALSE(ValidateGenOptions(options, 10).ok());
  const GenOptions draft = OptionsForDrafter(options, 10);
  EXPECT_TRUE(ValidateGenOptions(draft, 10).ok());
  EXPECT_EQ(draft.temperature, 0.5f);
  EXPECT_EQ(draft.choice, 7);
  EXPECT_FALSE(draft.logprobs.has_value());
  ASSERT_EQ(draft.logit_bias.size(), 1u);
  EXPECT_EQ(draft.logit_bias[0].id, 9);
  EXPECT_EQ(draft.stop_token_ids, std::vector<TokenId>{4});
}

}  // namespace
}  // namespace tandem
