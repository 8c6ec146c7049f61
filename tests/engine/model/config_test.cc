#include "engine/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ModelConfig> Read(const TinyModel& model) {
  absl::StatusOr<std::unique_ptr<GgufFile>> file = OpenTiny(model);
  if (!file.ok()) return file.status();
  return ModelConfig::FromGguf(**file);
}

TEST(ConfigTest, ReadsEveryField) {
  TinyModelSpec spec;
  spec.rotary_dims = 8;
  const absl::StatusOr<ModelConfig> config = Read(TinyModel(spec));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->layers, 2);
  EXPECT_EQ(config->width, 64);
  EXPECT_EQ(config->feed_forward_width, 96);
  EXPECT_EQ(config->heads, 4);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->rotary_dims, 8);
  EXPECT_EQ(config->rope_base, 10000.0);
  EXPECT_EQ(config->norm_epsilon, 1e-5f);
  EXPECT_EQ(config->context_length, 256);
  EXPECT_EQ(config->vocab_size, 300);
  EXPECT_EQ(config->query_width(), 64);
  EXPECT_EQ(config->kv_width(), 32);
}

TEST(ConfigTest, AbsentKeysHaveTheFormatsDefaults) {
  TinyModel model(TinyModelSpec{});
  for (const char* key :
       {"llama.attention.head_count_kv", "llama.attention.key_length",
        "llama.attention.value_length", "llama.rope.dimension_count",
        "llama.rope.freq_base", "llama.vocab_size"}) {
    model.metadata.erase(key);
  }
  const absl::StatusOr<ModelConfig> config = Read(model);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->kv_heads, config->heads);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->rotary_dims, 16);
  EXPECT_EQ(config->rope_base, 10000.0);
}

struct BadValue {
  const char* key;
  TinyModel::Value value;
};

class BadValueTest : public ::testing::TestWithParam<BadValue> {};

TEST_P(BadValueTest, IsMalformedWithKeyAndOffset) {
  TinyModel model(TinyModelSpec{});
  model.metadata[GetParam().key] = GetParam().value;
  const absl::Status status = Read(model).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().key));
  EXPECT_THAT(std::string(status.message()), HasSubstr("offset"));
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<BadValue> BadValues() {
  std::vector<BadValue> values;
  for (const char* key :
       {"llama.block_count", "llama.embedding_length",
        "llama.feed_forward_length", "llama.context_length",
        "llama.attention.head_count", "llama.attention.head_count_kv",
        "llama.attention.key_length", "llama.attention.value_length",
        "llama.rope.dimension_count", "llama.vocab_size"}) {
    values.push_back({key, uint32_t{0}});
    values.push_back({key, uint32_t{1} << 31});
    values.push_back({key, int32_t{-1}});
    values.push_back({key, ~uint64_t{0}});
    values.push_back({key, std::string("4")});
    values.push_back({key, 4.0f});
  }
  const auto epsilon = "llama.attention.layer_norm_rms_epsilon";
  for (float value : {0.0f, -1e-5f, kNan, kInfinity, 1.0f}) {
    values.push_back({epsilon, value});
  }
  values.push_back({epsilon, uint32_t{1}});
  for (float value : {0.0f, -1.0f, 0.5f, kNan, kInfinity, -kInfinity}) {
    values.push_back({"llama.rope.freq_base", value});
  }
  values.push_back({"general.architecture", uint32_t{7}});
  values.push_back({"llama.attention.head_count_kv", uint32_t{8}});  // > heads
  values.push_back({"llama.attention.head_count_kv", uint32_t{3}});
  values.push_back({"llama.attention.value_length", uint32_t{8}});
  values.push_back({"llama.rope.dimension_count", uint32_t{18}});
  values.push_back({"llama.rope.dimension_count", uint32_t{7}});
  values.push_back({"llama.vocab_size", uint32_t{301}});
  return values;
}

INSTANTIATE_TEST_SUITE_P(All, BadValueTest, ::testing::ValuesIn(BadValues()));

TEST(ConfigTest, HeadsMustDivideTheWidth) {
  TinyModel model(TinyModelSpec{});
  model.metadata.erase("llama.attention.key_length");
  model.metadata.erase("llama.attention.value_length");
  model.metadata["llama.attention.head_count"] = uint32_t{3};
  model.metadata["llama.attention.head_count_kv"] = uint32_t{3};
  EXPECT_THAT(std::string(Read(model).status().message()),
              HasSubstr("must divide embedding_length"));
  // 62 / 2 = 31 dimensions: no pairs to rotate.
  model.metadata["llama.embedding_length"] = uint32_t{62};
  model.metadata["llama.attention.head_count"] = uint32_t{2};
  model.metadata["llama.attention.head_count_kv"] = uint32_t{2};
  EXPECT_THAT(std::string(Read(model).status().message()),
              HasSubstr("must be even"));
  TinyModel odd(TinyModelSpec{});
  odd.metadata["llama.attention.key_length"] = uint32_t{15};
  odd.metadata["llama.attention.value_length"] = uint32_t{15};
  EXPECT_THAT(std::string(Read(odd).status().message()),
              HasSubstr("gives heads of 15 dimensions"));
}

TEST(ConfigTest, NamesMissingKeys) {
  for (const char* key : {"general.architecture", "llama.block_count",
                          "llama.embedding_length", "llama.feed_forward_length",
                          "llama.context_length", "llama.attention.head_count",
                          "llama.attention.layer_norm_rms_epsilon"}) {
    TinyModel model(TinyModelSpec{});
    model.metadata.erase(key);
    const absl::Status status = Read(model).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("key '", key, "' is missing")));
  }
}

TEST(ConfigTest, NeedsAnEmbeddingTable) {
  TinyModel model(TinyModelSpec{});
  model.Erase("token_embd.weight");
  EXPECT_THAT(std::string(Read(model).status().message()),
              HasSubstr("token_embd.weight"));
}

void ExpectUnsupported(const TinyModel& model, const std::string& named) {
  const absl::Status status = Read(model).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedModel);
  EXPECT_THAT(std::string(status.message()), HasSubstr(named));
}

TEST(ConfigTest, RefusesOtherArchitecturesByName) {
  TinyModel model(TinyModelSpec{});
  model.metadata["general.architecture"] = std::string("mamba");
  ExpectUnsupported(model, "'mamba'");
}

TEST(ConfigTest, RefusesWhatItDoesNotComputeByKey) {
  const std::vector<BadValue> extras = {
      {"llama.rope.scaling.type", std::string("linear")},
      {"llama.rope.scaling.type", std::string("yarn")},
      {"llama.rope.scaling.type", uint32_t{0}},
      {"llama.rope.scaling.factor", 4.0f},
      {"llama.rope.scale_linear", 2.0f},
      {"llama.expert_count", uint32_t{8}},
      {"llama.expert_count", std::string("8")},
      {"llama.attention.sliding_window", uint32_t{4096}},
      {"llama.attention.clamp_kqv", 8.0f},
      {"llama.something_new", true},
  };
  for (const BadValue& extra : extras) {
    TinyModel model(TinyModelSpec{});
    model.metadata[extra.key] = extra.value;
    ExpectUnsupported(model, absl::StrCat(": key '", extra.key, "': asks"));
  }
}

TEST(ConfigTest, TakesExtrasThatAskForNothing) {
  TinyModel model(TinyModelSpec{});
  model.metadata["llama.rope.scaling.type"] = std::string("none");
  model.metadata["llama.expert_count"] = uint32_t{0};
  model.metadata["llama.expert_used_count"] = uint32_t{0};
  model.metadata["llama.attention.sliding_window"] = int32_t{0};
  model.metadata["general.quantization_version"] = uint32_t{2};
  model.metadata["other.rope.scaling.type"] = std::string("yarn");
  EXPECT_TRUE(Read(model).ok()) << Read(model).status();
}

TEST(ConfigTest, EveryFieldIsHashed) {
  const auto hash_of = [](const ModelConfig& config) {
    Sha256 hash;
    config.AddTo(&hash);
    return hash.HexDigest();
  };
  const ModelConfig base = *Read(TinyModel(TinyModelSpec{}));
  const std::vector<void (*)(ModelConfig*)> changes = {
      [](ModelConfig* c) { c->architecture = "x"; },
      [](ModelConfig* c) { ++c->layers; },
      [](ModelConfig* c) { ++c->width; },
      [](ModelConfig* c) { ++c->feed_forward_width; },
      [](ModelConfig* c) { ++c->heads; },
      [](ModelConfig* c) { ++c->kv_heads; },
      [](ModelConfig* c) { ++c->head_dim; },
      [](ModelConfig* c) { ++c->rotary_dims; },
      [](ModelConfig* c) { c->rope_base *= 2; },
      [](ModelConfig* c) { c->norm_epsilon *= 2; },
      [](ModelConfig* c) { ++c->context_length; },
      [](ModelConfig* c) { ++c->vocab_size; },
  };
  for (const auto& change : changes) {
    ModelConfig changed = base;
    change(&changed);
    EXPECT_NE(hash_of(changed), hash_of(base));
  }
}

}  // namespace
}  // namespace tandem
