#include "engine/model/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_writer.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class ConfigReaderTest : public ::testing::Test {
 protected:
  ConfigReader MakeReader() {
    file_ = *GgufFile::FromBytes(writer_.Serialize(), "m.gguf");
    return ConfigReader(*file_, "x");
  }

  GgufWriter writer_;
  std::unique_ptr<GgufFile> file_;
};

void ExpectError(const absl::Status& status, const std::string& reason,
                 const std::string& text) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, reason);
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

TEST_F(ConfigReaderTest, ReadsWithinBoundsAndNamesKeys) {
  writer_.SetUint32("x.count", 7);
  writer_.SetUint32("x.zero", 0);
  writer_.SetFloat32("x.number", 0.5f);
  writer_.SetString("x.text", "hello");
  ConfigReader reader = MakeReader();
  EXPECT_EQ(*reader.Count("count", 7), 7);
  ExpectError(reader.Count("count", 6).status(), kReasonMalformedFile,
              "key 'x.count': must be at most 6, is 7");
  ExpectError(reader.Count("zero", 6).status(), kReasonMalformedFile,
              "key 'x.zero': must be in [1, 6], is 0");
  EXPECT_EQ(*reader.SizeOr("zero", 6, 3), 0);
  EXPECT_EQ(*reader.SizeOr("absent", 6, 3), 3);
  EXPECT_EQ(*reader.CountOr("absent", 6, 3), 3);
  ExpectError(reader.Count("absent", 6).status(), kReasonMalformedFile,
              "key 'x.absent' is missing");
  EXPECT_EQ(*reader.Number("number", {0, 1}), 0.5);
  EXPECT_EQ(*reader.NumberOr("absent", {0, 1}, 2), 2);
  ExpectError(reader.Number("number", {0, 0.25}).status(), kReasonMalformedFile,
              "key 'x.number': must be in [0, 0.25], is 0.5");
  EXPECT_EQ(*reader.TextOrEmpty("text"), "hello");
  EXPECT_EQ(*reader.TextOrEmpty("absent"), "");
  ExpectError(reader.TextOrEmpty("count").status(), kReasonMalformedFile,
              "'x.count'");
}

TEST_F(ConfigReaderTest, WhatNobodyAskedForIsRefused) {
  writer_.SetUint32("x.known", 7);
  writer_.SetUint32("y.other", 7);
  writer_.SetUint32("x.new", 7);
  ConfigReader reader = MakeReader();
  EXPECT_TRUE(reader.Has("known"));
  ExpectError(reader.CheckNoUnknownKeys(), kReasonUnsupportedModel,
              ": key 'x.new': asks");
  EXPECT_TRUE(reader.Has("new"));
  EXPECT_TRUE(reader.CheckNoUnknownKeys().ok());
}

TEST_F(ConfigReaderTest, KeysThatAskForNothingPass) {
  writer_.SetUint32("x.expert_count", 0);
  writer_.SetInt32("x.attention.sliding_window", 0);
  writer_.SetBool("x.rope.scaling.finetuned", true);
  writer_.SetString("x.tensor_data_layout", "any");
  EXPECT_TRUE(MakeReader().CheckNoUnknownKeys().ok());
  writer_.SetUint32("x.extra.expert_count", 0);
  ExpectError(MakeReader().CheckNoUnknownKeys(), kReasonUnsupportedModel,
              "x.extra.expert_count");
}

TEST_F(ConfigReaderTest, TheSameKeysWithOtherValuesDoNot) {
  writer_.SetBool("x.rope.scaling.finetuned", false);
  ExpectError(MakeReader().CheckNoUnknownKeys(), kReasonUnsupportedModel,
              "x.rope.scaling.finetuned");
  writer_ = GgufWriter();
  writer_.SetUint32("x.expert_count", 8);
  ExpectError(MakeReader().CheckNoUnknownKeys(), kReasonUnsupportedModel,
              "x.expert_count");
}

}  // namespace
}  // namespace tandem
