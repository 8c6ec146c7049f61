#include "engine/base/check.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(CheckTest, PassesSilentlyAndNamesWhatFailed) {
  TANDEM_CHECK(1 + 1 == 2);
  EXPECT_DEATH(TANDEM_CHECK(1 + 1 == 3), "check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace tandem
