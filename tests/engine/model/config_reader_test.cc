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
              ": key 'x.new': is 7, which asks for what this build");
  EXPECT_TRUE(reader.Has("new"));
  EXPECT_TRUE(reader.CheckNoUnknownKeys().ok());
}

TEST_F(ConfigReaderTest, KeysThatAskForNothingPass) {
  writer_.SetUint32("x.expert_count", 0);
  writer_.SetInt32("x.attention.sliding_window", 0);
  writer_.SetString("x.tensor_data_layout", "any");
  EXPECT_TRUE(MakeReader().CheckNoUnknownKeys().ok());
  writer_.SetUint32("x.extra.expert_count", 0);
  ExpectError(MakeReader().CheckNoUnknownKeys(), kReasonUnsupportedModel,
              "x.extra.expert_count");
}

TEST_F(ConfigReaderTest, TheSameKeysWithOtherValuesDoNot) {
  writer_.SetUint32("x.expert_count", 8);
  ExpectError(MakeReader().CheckNoUnknownKeys(), kReasonUnsupportedModel,
              "key 'x.expert_count': is 8, which asks for");
}

TEST_F(ConfigReaderTest, ANumberMayStandOnceForEachLayer) {
  writer_.SetInt32Array("x.equal", {4, 4, 4});
  writer_.SetInt32Array("x.unlike", {4, 4, 2});
  writer_.SetInt32Array("x.negative", {-4, -4, -4});
  writer_.SetInt32Array("x.short", {4, 4});
  writer_.SetInt32Array("x.none", {});
  writer_.SetFloat32Array("x.float", {4, 4, 4});
  ConfigReader reader = MakeReader();
  // Before the number of layers is known.
  ExpectError(reader.Count("equal", 9).status(), kReasonMalformedFile,
              "key 'x.equal': ");
  reader.SetLayers(3);
  EXPECT_EQ(*reader.Count("equal", 9), 4);
  ExpectError(reader.Count("equal", 3).status(), kReasonMalformedFile,
              "key 'x.equal': must be at most 3, is 4");
  ExpectError(reader.Count("unlike", 9).status(), kReasonUnsupportedModel,
              "key 'x.unlike': gives layers that differ");
  for (const std::string key : {"short", "none"}) {
    ExpectError(reader.Count(key, 9).status(), kReasonMalformedFile,
                " elements for 3 layers");
  }
  for (const std::string key : {"negative", "float"}) {
    ExpectError(reader.Count(key, 9).status(), kReasonMalformedFile,
                "key 'x." + key + "': must be a number, or one for each layer");
  }
}

TEST_F(ConfigReaderTest, ReadsFlagsAndWhatMustBeOneNumber) {
  writer_.SetBool("x.flag", false);
  writer_.SetFloat32("x.one", 1.0f);
  writer_.SetUint32("x.two", 2);
  ConfigReader reader = MakeReader();
  EXPECT_FALSE(*reader.FlagOr("flag", true));
  EXPECT_TRUE(*reader.FlagOr("absent", true));
  ExpectError(reader.FlagOr("two", true).status(), kReasonMalformedFile,
              "x.two");
  EXPECT_TRUE(reader.OnlyNumber("one", 1).ok());
  EXPECT_TRUE(reader.OnlyNumber("two", 2).ok());
  EXPECT_TRUE(reader.OnlyNumber("absent", 2).ok());
  ExpectError(reader.OnlyNumber("two", 1), kReasonUnsupportedModel,
              "key 'x.two': is 2, which asks for");
}

}  // namespace
}  // namespace tandem
