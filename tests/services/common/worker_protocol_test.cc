#include "services/common/worker_protocol.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

TEST(CheckModelIdTest, TakesNames) {
  for (const char* id : {"a", "tales-target-q8_0", "a b/c:d", "\u00E4"}) {
    EXPECT_TRUE(CheckModelId(id).ok()) << id;
  }
  EXPECT_TRUE(CheckModelId(std::string(kModelIdBytesMax, 'a')).ok());
}

TEST(CheckModelIdTest, WhatBreaksALineIsNoName) {
  for (const char* id : {"", "a\nb", "a\r", "\x1b[2J", "a\xff", "\u0085"}) {
    const absl::Status status = CheckModelId(id);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << id;
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
  }
  EXPECT_FALSE(CheckModelId(std::string(kModelIdBytesMax + 1, 'a')).ok());
}

}  // namespace
}  // namespace tandem
