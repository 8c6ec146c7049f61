#include "services/coordinator/client/default_limits.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

class OneTenant : public TenantLimitsSource {
 public:
  TenantLimits LimitsOf(absl::string_view tenant) const override {
    if (tenant != "one") return {};
    return {.turns_max = 5, .kv_share = 0.25};
  }
};

constexpr TenantLimits kDefaults = {.turns_max = 10,
                                    .sessions_max = 20,
                                    .queued_tokens_max = 30,
                                    .tokens_per_minute = 40,
                                    .kv_share = 0.5};

TEST(DefaultLimitsTest, OwnLimitsGoBeforeTheDefaults) {
  const OneTenant own;
  const DefaultLimits limits(kDefaults, &own);
  EXPECT_EQ(limits.LimitsOf("one").turns_max, 5);
  EXPECT_EQ(limits.LimitsOf("one").sessions_max, 20);
  EXPECT_EQ(limits.LimitsOf("one").queued_tokens_max, 30);
  EXPECT_EQ(limits.LimitsOf("one").tokens_per_minute, 40);
  EXPECT_EQ(limits.LimitsOf("one").kv_share, 0.25);
  EXPECT_EQ(limits.LimitsOf("other").turns_max, 10);
  EXPECT_EQ(limits.LimitsOf("other").kv_share, 0.5);
}

TEST(DefaultLimitsTest, WithoutOwnLimitsAllHaveTheDefaults) {
  const DefaultLimits limits(kDefaults);
  EXPECT_EQ(limits.LimitsOf("one").turns_max, 10);
}

}  // namespace
}  // namespace tandem
