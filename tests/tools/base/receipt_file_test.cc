#include "tools/tandem/base/receipt_file.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <string>

#include "engine/sampling/gen_options.h"
#include "services/common/turn_conversion.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<TokenId>& Ids() {
  static const auto* const ids = new std::vector<TokenId>{5, 6, 7};
  return *ids;
}

// Of options whose numbers are not exact in decimal.
v1::Receipt SomeReceipt() {
  GenOptions options;
  options.seed = std::numeric_limits<uint64_t>::max();
  options.choice = 2;
  options.temperature = 0.1f;
  options.top_p = std::numeric_limits<float>::denorm_min();
  options.logit_bias = {
      {.id = 4, .bias = -std::numeric_limits<float>::infinity()},
      {.id = 5, .bias = 1.0f / 3}};
  options.stop_strings = {"\n", "\u00e9"};
  options.response_format = GrammarSource{
      .kind = GrammarSource::Kind::kJsonSchema, .text = "{\"a\": 1}"};
  return MakeReceipt({.model_id = "m",
                      .fingerprint = "fp",
                      .prompt = {1, 2},
                      .options = options,
                      .generated = Ids()});
}

TurnRecord SomeRecord() {
  TurnRecord record;
  *record.ended.mutable_receipt() = SomeReceipt();
  record.tokens.mutable_token_ids()->Add(Ids().begin(), Ids().end());
  record.started.set_template_date("2026-11-29");
  return record;
}

class ReceiptFileTest : public ::testing::Test {
 protected:
  ~ReceiptFileTest() override { unlink(path_.c_str()); }

  const std::string path_ = ::testing::TempDir() + "/receipt_test_" +
                            std::to_string(getpid()) + ".json";
};

TEST_F(ReceiptFileTest, WhatIsWrittenIsRead) {
  ASSERT_TRUE(WriteReceipt(SomeRecord(), path_).ok());
  const auto file = ReadReceipt(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      file->receipt, SomeReceipt()));
  EXPECT_EQ(file->receipt.SerializeAsString(),
            SomeReceipt().SerializeAsString());
  EXPECT_EQ(file->token_ids, Ids());
  EXPECT_EQ(file->template_date, "2026-11-29");
}

TEST_F(ReceiptFileTest, WhatJsonPrintsIsOneToo) {
  const auto file = ParseReceipt(TurnJson(SomeRecord()).dump());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->receipt.SerializeAsString(),
            SomeReceipt().SerializeAsString());
  EXPECT_EQ(file->token_ids, Ids());
}

TEST_F(ReceiptFileTest, NumbersAreNumbers) {
  const Json json = ReceiptJson(SomeReceipt());
  EXPECT_EQ(json["prompt_tokens"], 2);
  EXPECT_TRUE(json["generated_tokens"].is_number());
  EXPECT_EQ(json["options"]["seed"].dump(), "18446744073709551615");
  EXPECT_EQ(json["options"]["temperature"].dump(), "0.1");
}

TEST_F(ReceiptFileTest, ADayAndTokenIdsMayBeMissing) {
  Json json;
  json["receipt"] = ReceiptJson(SomeReceipt());
  const auto file = ParseReceipt(json.dump());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(file->token_ids.has_value());
  EXPECT_EQ(file->template_date, "");
}

TEST_F(ReceiptFileTest, WhatIsNoReceiptIsRefused) {
  const auto error = [](const std::string& text) {
    return std::string(ParseReceipt(text).status().message());
  };
  EXPECT_THAT(error("no"), HasSubstr("no JSON"));
  EXPECT_THAT(error("{}"), HasSubstr("has no receipt; `tandem generate"));
  EXPECT_THAT(error(R"({"receipt": 3})"), HasSubstr("receipt is no object"));
  EXPECT_THAT(error(R"({"receipt": {}})"), HasSubstr("no whole receipt"));
  EXPECT_THAT(error(R"({"receipt": {"tokens_hsah": "a"}})"),
              HasSubstr("tokens_hsah"));
  Json json;
  json["receipt"] = ReceiptJson(SomeReceipt());
  json["token_ids"] = {5, 6, 8};
  EXPECT_THAT(error(json.dump()), HasSubstr("not those of its receipt"));
  json["token_ids"] = "5";
  EXPECT_THAT(error(json.dump()), HasSubstr("no list of token ids"));
}

TEST_F(ReceiptFileTest, ErrorsNameTheFile) {
  EXPECT_THAT(ReadReceipt("/nonexistent/r.json").status().message(),
              HasSubstr("/nonexistent/r.json: cannot read it"));
  TurnRecord record = SomeRecord();
  EXPECT_THAT(WriteReceipt(record, "/nonexistent/r.json").message(),
              HasSubstr("--receipt /nonexistent/r.json: cannot write it"));
  record.ended.clear_receipt();
  record.ended.set_finish_reason(v1::FINISH_REASON_DEADLINE);
  EXPECT_THAT(WriteReceipt(record, path_).message(),
              HasSubstr("was ended by deadline"));
}

}  // namespace
}  // namespace tandem::cli
