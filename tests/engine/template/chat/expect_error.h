// What tests of chats expect of errors.

#ifndef TANDEM_TESTS_ENGINE_TEMPLATE_CHAT_EXPECT_ERROR_H_
#define TANDEM_TESTS_ENGINE_TEMPLATE_CHAT_EXPECT_ERROR_H_

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem {

inline void ExpectError(const absl::Status& status, absl::StatusCode code,
                        const std::string& reason, const std::string& field,
                        const std::string& text) {
  EXPECT_EQ(status.code(), code) << status;
  const auto detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_EQ(detail->reason, reason);
  ASSERT_EQ(detail->violations.size(), 1u) << status;
  EXPECT_EQ(detail->violations[0].field, field);
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

inline void ExpectInvalid(const absl::Status& status, const std::string& field,
                          const std::string& text = "") {
  ExpectError(status, absl::StatusCode::kInvalidArgument, kReasonInvalidOptions,
              field, text);
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_TEMPLATE_CHAT_EXPECT_ERROR_H_
