#include "services/common/logging.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "tandem/v1/worker.pb.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LoggingTest, JsonLinesAreJsonWhateverTheMessage) {
  InitLogging("json", "info");
  ::testing::internal::CaptureStderr();
  spdlog::info("a \"quoted\"\nline \x01 \xff end");
  spdlog::warn("second");
  const std::string text = ::testing::internal::GetCapturedStderr();
  const size_t newline = text.find('\n');
  ASSERT_NE(newline, std::string::npos);
  const nlohmann::json first = nlohmann::json::parse(text.substr(0, newline));
  EXPECT_EQ(first["level"], "info");
  EXPECT_THAT(first["message"].get<std::string>(),
              HasSubstr("a \"quoted\"\nline \x01"));
  EXPECT_EQ(first["time"].get<std::string>().size(),
            std::string("2026-01-01T00:00:00.000Z").size());
  const nlohmann::json second = nlohmann::json::parse(text.substr(newline));
  EXPECT_EQ(second["level"], "warning");
  EXPECT_EQ(second["message"], "second");
}

TEST(LoggingTest, TextLinesAndLevel) {
  InitLogging("text", "warning");
  ::testing::internal::CaptureStderr();
  spdlog::info("hidden");
  spdlog::error("shown");
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, Not(HasSubstr("hidden")));
  EXPECT_THAT(text, HasSubstr("error shown\n"));
}

TEST(LoggingTest, ATextLineCanNotBeForged) {
  InitLogging("text", "info");
  ::testing::internal::CaptureStderr();
  spdlog::info("model {} was loaded",
               "a\n2026-01-01T00:00:00.000Z error b\x1b");
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("info model a\\x0a2026-01-01T00:00:00.000Z error "
                              "b\\x1b was loaded\n"));
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(LoggingTest, GrpcMessagesAreTaken) {
  InitLogging("json", "warning");
  ::testing::internal::CaptureStderr();
  // Only grpc_init sets it, which this test has no need of.
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_log(GPR_ERROR, "peer %d broke", 7);
  const std::string text = ::testing::internal::GetCapturedStderr();
  const nlohmann::json line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "grpc: peer 7 broke");
}

TEST(LoggingTest, GrpcMessagesAreShortAndOneLine) {
  InitLogging("text", "warning");
  ::testing::internal::CaptureStderr();
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_log(GPR_ERROR, "a\r\nb%s", std::string(5000, 'x').c_str());
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("warning grpc: a  bxxx"));
  EXPECT_THAT(text, ::testing::EndsWith("xxx...\n"));
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_LT(text.size(), kLibraryMessageBytesMax + 100);
}

TEST(LoggingTest, PeersDoNotFillTheDisk) {
  InitLogging("text", "warning");
  ::testing::internal::CaptureStderr();
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  for (int i = 0; i < 100 * kLibraryLinesMax; ++i) {
    gpr_log(GPR_ERROR, "peer broke");
  }
  // It may have taken longer than the interval.
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("warning grpc: peer broke\n"));
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 10 * kLibraryLinesMax);
}

TEST(LogLimitTest, LeavesOutAndCounts) {
  LogLimit limit(2, absl::Seconds(10));
  absl::Time now = absl::UnixEpoch();
  EXPECT_EQ(limit.Admit(now), 0);
  now += absl::Seconds(9);
  EXPECT_EQ(limit.Admit(now), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.Admit(now), std::nullopt);
  now += absl::Seconds(1);
  EXPECT_EQ(limit.Admit(now), 3);
  EXPECT_EQ(limit.Admit(now), 0);
  EXPECT_EQ(limit.Admit(now), std::nullopt);
  limit.Reset();
  EXPECT_EQ(limit.Admit(now), 0);
}

TEST(LoggingTest, DroppedMessagesGoNowhere) {
  DropLogs();
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  spdlog::error("of code that servers share");
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_log(GPR_ERROR, "peer broke");
  v1::OpenSequence open;
  EXPECT_FALSE(open.ParseFromString("\x0a\x01\xff"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST(LoggingTest, ProtobufMessagesAreTaken) {
  InitLogging("json", "debug");
  ::testing::internal::CaptureStderr();
  v1::OpenSequence open;
  // Field 1, one byte that is not UTF-8.
  EXPECT_FALSE(open.ParseFromString("\x0a\x01\xff"));
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(nlohmann::json::parse(text)["message"].get<std::string>(),
              HasSubstr("session_id"));
}

TEST(LoggingDeathTest, UnknownNamesAreBugs) {
  EXPECT_DEATH(InitLogging("xml", "info"), "format");
  EXPECT_DEATH(InitLogging("text", "loud"), "level");
}

}  // namespace
}  // namespace tandem
