#include "engine/tokenizer/vocabulary.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

absl::StatusOr<Vocabulary> Read(const GgufWriter& writer) {
  const auto file = GgufFile::FromBytes(writer.Serialize(), "vocabulary");
  if (!file.ok()) return file.status();
  return ReadVocabulary(**file);
}

void ExpectMalformed(const GgufWriter& writer, absl::string_view key,
                     absl::string_view what) {
  const absl::Status status = Read(writer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_TRUE(absl::StrContains(
      status.message(), absl::StrCat("key 'tokenizer.ggml.", key, "': ", what)))
      << status;
}

TEST(VocabularyTest, ReadsPiecesKindsAndIds) {
  TestVocabulary test = TestVocabulary::WithSpecials();
  test.Add("a", TokenKind::kUserDefined);
  test.Add("b", TokenKind::kUnused);
  test.Add("pad");
  test.Add("eom");
  test.Add("end");
  GgufWriter writer = test.Writer();
  writer.SetUint32("tokenizer.ggml.bos_token_id", 1);
  writer.SetInt32("tokenizer.ggml.eos_token_id", 2);
  writer.SetUint64("tokenizer.ggml.eot_token_id", 3);
  writer.SetUint32("tokenizer.ggml.eom_token_id", 6);
  writer.SetInt32Array("tokenizer.ggml.eos_token_ids", {2, 7});
  writer.SetUint32("tokenizer.ggml.unknown_token_id", 0);
  writer.SetUint32("tokenizer.ggml.padding_token_id", 5);
  const auto vocabulary = Read(writer);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_EQ(vocabulary->size(), 8);
  EXPECT_EQ(vocabulary->pieces[3], "a");
  EXPECT_EQ(vocabulary->kinds[3], TokenKind::kUserDefined);
  EXPECT_EQ(vocabulary->special.bos, 1);
  EXPECT_EQ(vocabulary->special.eos, 2);
  EXPECT_EQ(vocabulary->special.eot, 3);
  EXPECT_EQ(vocabulary->special.eom, 6);
  EXPECT_EQ(vocabulary->special.ends, (std::vector<TokenId>{2, 7}));
  EXPECT_EQ(vocabulary->special.unknown, 0);
  EXPECT_EQ(vocabulary->special.padding, 5);
  const std::vector<bool> special = {true,  true, true, true,
                                     false, true, true, true};
  for (TokenId id = 0; id < 8; ++id) {
    EXPECT_EQ(vocabulary->IsSpecial(id), special[id]) << id;
  }
}

TEST(VocabularyTest, MarkersOfChatTemplatesAreSpecial) {
  TestVocabulary tokens;
  tokens.Add("<|im_start|>", TokenKind::kUserDefined);
  tokens.Add("<tool>", TokenKind::kUserDefined);
  tokens.Add("<|im_end|>");
  const auto vocabulary = Read(tokens.Writer());
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_TRUE(vocabulary->IsSpecial(0));
  EXPECT_FALSE(vocabulary->IsSpecial(1));
  EXPECT_FALSE(vocabulary->IsSpecial(2));
  EXPECT_EQ(vocabulary->kinds[0], TokenKind::kUserDefined);
}

TEST(VocabularyTest, TakesAllForNormalWithoutTypes) {
  GgufWriter writer;
  writer.SetStringArray("tokenizer.ggml.tokens", {"a", "b"});
  const auto vocabulary = Read(writer);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_EQ(vocabulary->kinds[1], TokenKind::kNormal);
  EXPECT_FALSE(vocabulary->special.bos.has_value());
}

TEST(VocabularyTest, RefusesBadTokens) {
  ExpectMalformed(GgufWriter(), "tokens", "is missing");
  GgufWriter scalar;
  scalar.SetString("tokenizer.ggml.tokens", "a");
  ExpectMalformed(scalar, "tokens", "has type string, must be an array");
  GgufWriter numbers;
  numbers.SetInt32Array("tokenizer.ggml.tokens", {1, 2});
  ExpectMalformed(numbers, "tokens", "must be an array of strings");
  GgufWriter none;
  none.SetStringArray("tokenizer.ggml.tokens", {});
  ExpectMalformed(none, "tokens", "has no tokens");
  GgufWriter large;
  large.SetStringArray("tokenizer.ggml.tokens",
                       {"a", std::string(kPieceBytesMax + 1, 'x')});
  ExpectMalformed(large, "tokens", "token 1 has 65536 bytes; at most 65535");
}

TEST(VocabularyTest, RefusesBadTypes) {
  const auto with_types = [](const std::function<void(GgufWriter*)>& set) {
    GgufWriter writer;
    writer.SetStringArray("tokenizer.ggml.tokens", {"a", "b"});
    set(&writer);
    return writer;
  };
  constexpr char kKey[] = "tokenizer.ggml.token_type";
  for (const std::vector<int32_t>& types :
       {std::vector<int32_t>{1}, std::vector<int32_t>{1, 1, 1}}) {
    ExpectMalformed(
        with_types([&](GgufWriter* w) { w->SetInt32Array(kKey, types); }),
        "token_type",
        absl::StrCat("has ", types.size(), " elements for 2 tokens"));
  }
  for (const int32_t type : {-1, 0, 7, INT32_MAX}) {
    ExpectMalformed(with_types([&](GgufWriter* w) {
                      w->SetInt32Array(kKey, {1, type});
                    }),
                    "token_type", absl::StrCat("token 1 has type ", type));
  }
  ExpectMalformed(with_types([&](GgufWriter* w) {
                    w->SetFloat32Array(kKey, {1, 1});
                  }),
                  "token_type", "must be an array of integers");
  ExpectMalformed(with_types([&](GgufWriter* w) { w->SetUint32(kKey, 1); }),
                  "token_type", "has type uint32, must be an array");
}

TEST(VocabularyTest, RefusesBadIds) {
  for (const absl::string_view name :
       {"bos", "eos", "eot", "eom", "unknown", "padding"}) {
    const std::string key = absl::StrCat(name, "_token_id");
    const std::string full = absl::StrCat("tokenizer.ggml.", key);
    for (const uint32_t id : {3u, UINT32_MAX}) {
      GgufWriter writer = TestVocabulary::WithSpecials().Writer();
      writer.SetUint32(full, id);
      ExpectMalformed(writer, key,
                      absl::StrCat("is ", id, ", but there are 3 tokens"));
    }
    GgufWriter negative = TestVocabulary::WithSpecials().Writer();
    negative.SetInt32(full, -1);
    ExpectMalformed(negative, key, "is -1, must not be negative");
    GgufWriter text = TestVocabulary::WithSpecials().Writer();
    text.SetString(full, "1");
    ExpectMalformed(text, key, "has type string, must be an integer");
  }
}

TEST(VocabularyTest, RefusesBadEndIds) {
  static constexpr char kKey[] = "tokenizer.ggml.eos_token_ids";
  const auto with_ids = [](const std::vector<int32_t>& ids) {
    GgufWriter writer = TestVocabulary::WithSpecials().Writer();
    writer.SetInt32Array(kKey, ids);
    return writer;
  };
  EXPECT_TRUE(Read(with_ids({})).ok());
  for (const int32_t id : {-1, 3, INT32_MAX}) {
    ExpectMalformed(
        with_ids({1, id}), "eos_token_ids",
        absl::StrCat("has the id ", id, ", but there are 3 tokens"));
  }
  ExpectMalformed(with_ids(std::vector<int32_t>(kEndIdsMax + 1, 2)),
                  "eos_token_ids", "has 65 elements; at most 64 are allowed");
  GgufWriter scalar = TestVocabulary::WithSpecials().Writer();
  scalar.SetUint32(kKey, 2);
  ExpectMalformed(scalar, "eos_token_ids", "has type uint32, must be an array");
  GgufWriter numbers = TestVocabulary::WithSpecials().Writer();
  numbers.SetFloat32Array(kKey, {2});
  ExpectMalformed(numbers, "eos_token_ids", "must be an array of integers");
}

TEST(VocabularyTest, NamesKinds) {
  EXPECT_EQ(TokenKindName(TokenKind::kNormal), "normal");
  EXPECT_EQ(TokenKindName(TokenKind::kUnknown), "unknown");
  EXPECT_EQ(TokenKindName(TokenKind::kControl), "control");
  EXPECT_EQ(TokenKindName(TokenKind::kUserDefined), "user-defined");
  EXPECT_EQ(TokenKindName(TokenKind::kUnused), "unused");
  EXPECT_EQ(TokenKindName(TokenKind::kByte), "byte");
}

}  // namespace
}  // namespace tandem
