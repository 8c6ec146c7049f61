#include "engine/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

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
  EXPECT_EQ(config->rope.dims, 8);
  EXPECT_EQ(config->rope.base, 10000.0);
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
  EXPECT_EQ(config->rope.dims, 16);
  EXPECT_EQ(config->rope.base, 10000.0);
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

// Of the keys beyond those of every file.
std::vector<BadValue> BadFeatureValues() {
  std::vector<BadValue> values;
  for (const char* key : {"llama.attention.sliding_window",
                          "llama.attention.sliding_window_pattern",
                          "llama.rope.scaling.original_context_length"}) {
    values.push_back({key, uint32_t{1} << 31});
    values.push_back({key, int32_t{-1}});
    values.push_back({key, ~uint64_t{0}});
    values.push_back({key, std::string("4")});
    values.push_back({key, 4.0f});
  }
  values.push_back({"llama.rope.scaling.original_context_length", uint32_t{0}});
  values.push_back({"llama.rope.scaling.type", uint32_t{0}});
  for (const char* key :
       {"llama.rope.scaling.factor", "llama.rope.scale_linear",
        "llama.rope.scaling.attn_factor", "gemma3.rope.freq_base_swa",
        "granite.embedding_scale", "granite.residual_scale",
        "granite.attention.scale", "granite.logit_scale"}) {
    for (float value : {0.0f, -1.0f, kNan, kInfinity, -kInfinity}) {
      values.push_back({key, value});
    }
    values.push_back({key, uint32_t{2}});
    values.push_back({key, std::string("2")});
  }
  for (const char* key :
       {"gemma2.attn_logit_softcapping", "gemma2.final_logit_softcapping"}) {
    for (float value : {-1.0f, 1e-40f, kNan, kInfinity, 1e30f}) {
      values.push_back({key, value});
    }
    values.push_back({key, uint32_t{50}});
  }
  return values;
}

class BadFeatureValueTest : public ::testing::TestWithParam<BadValue> {};

TEST_P(BadFeatureValueTest, IsMalformedWithKeyAndOffset) {
  const std::string key = GetParam().key;
  TinyModel model({.architecture = key.substr(0, key.find('.'))});
  model.metadata[key] = GetParam().value;
  const absl::Status status = Read(model).status();
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_THAT(std::string(status.message()), HasSubstr(key));
  EXPECT_THAT(std::string(status.message()), HasSubstr("offset"));
}

INSTANTIATE_TEST_SUITE_P(All, BadFeatureValueTest,
                         ::testing::ValuesIn(BadFeatureValues()));

TEST(ConfigTest, YarnNeedsABaseAboveOne) {
  TinyModel model(TinyModelSpec{});
  model.metadata["llama.rope.scaling.type"] = std::string("yarn");
  model.metadata["llama.rope.freq_base"] = 1.0f;
  EXPECT_THAT(std::string(Read(model).status().message()),
              HasSubstr("key 'llama.rope.freq_base': must be above 1"));
}

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
      {"llama.rope.scaling.type", std::string("llama3")},
      {"llama.rope.scaling.yarn_ext_factor", 1.0f},
      {"llama.rope.freq_base_swa", 5000.0f},
      {"llama.expert_count", uint32_t{8}},
      {"llama.expert_count", std::string("8")},
      {"llama.embedding_scale", 12.0f},
      {"llama.attn_logit_softcapping", 50.0f},
      {"llama.attention.clamp_kqv", 8.0f},
      {"llama.something_new", true},
  };
  for (const BadValue& extra : extras) {
    TinyModel model(TinyModelSpec{});
    model.metadata[extra.key] = extra.value;
    ExpectUnsupported(model, absl::StrCat(": key '", extra.key, "': is "));
  }
  TinyModel model({.architecture = "qwen2"});
  model.metadata["qwen2.attention.sliding_window"] = uint32_t{128};
  ExpectUnsupported(
      model, ": key 'qwen2.attention.sliding_window': is 128, which asks");
  // Granite's files say by it whether there is RoPE.
  model = TinyModel({.architecture = "granite"});
  model.metadata["granite.rope.scaling.finetuned"] = false;
  ExpectUnsupported(model, "rope.scaling.finetuned': is false, which asks");
  model = TinyModel({.architecture = "gemma"});
  model.metadata["gemma.embedding_scale"] = 1.0f;
  ExpectUnsupported(model, "key 'gemma.embedding_scale': is 1, which asks");
}

TEST(ConfigTest, RefusesMixturesOfExpertsByName) {
  TinyModel model(TinyModelSpec{});
  model.metadata["general.architecture"] = std::string("qwen3moe");
  ExpectUnsupported(model, "'qwen3moe' is not supported (supported: gemma,");
}

// A file of `architecture` with some keys set.
TinyModel With(const std::string& architecture,
               const std::map<std::string, TinyModel::Value>& keys) {
  TinyModel model({.architecture = architecture});
  for (const auto& [key, value] : keys) {
    model.metadata[absl::StrCat(architecture, ".", key)] = value;
  }
  return model;
}

// An F32 vector.
TinyTensor Vector(const std::string& name, const std::vector<float>& values) {
  return {.name = name,
          .dims = {values.size()},
          .data = EncodeTensor(TensorType::kF32, values)};
}

TEST(ConfigTest, EachArchitectureHasItsFeatures) {
  const auto qwen3 = Read(With("qwen3", {}));
  ASSERT_TRUE(qwen3.ok()) << qwen3.status();
  EXPECT_EQ(qwen3->rope.pairs, RopePairs::kHalfSplit);
  EXPECT_TRUE(qwen3->features.head_norms);
  EXPECT_EQ(qwen3->attention_scale, 0.25f);  // 16 dimensions

  const auto gemma2 = Read(With("gemma2", {}));
  ASSERT_TRUE(gemma2.ok()) << gemma2.status();
  EXPECT_EQ(gemma2->embedding_scale, 8.0f);  // width 64
  EXPECT_EQ(gemma2->attention_soft_cap, 50.0f);
  EXPECT_EQ(gemma2->logit_soft_cap, 30.0f);
  EXPECT_EQ(gemma2->windows.window, 4096);
  EXPECT_TRUE(gemma2->windows.Has(0));
  EXPECT_FALSE(gemma2->windows.Has(1));
  EXPECT_FALSE(gemma2->local_rope.has_value());

  const auto gemma3 = Read(With("gemma3", {{"attention.sliding_window", 512u},
                                           {"rope.scaling.factor", 8.0f}}));
  ASSERT_TRUE(gemma3.ok()) << gemma3.status();
  EXPECT_TRUE(gemma3->windows.Has(4));
  EXPECT_FALSE(gemma3->windows.Has(5));
  EXPECT_EQ(gemma3->rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(gemma3->rope.factor, 8);
  ASSERT_TRUE(gemma3->local_rope.has_value());
  EXPECT_EQ(gemma3->local_rope->scaling, RopeScaling::kNone);
  EXPECT_EQ(gemma3->local_rope->base, 10000);
  EXPECT_EQ(gemma3->attention_soft_cap, 0.0f);
  // Without a window no layer is local.
  EXPECT_FALSE(Read(With("gemma3", {}))->local_rope.has_value());

  const auto granite = Read(With("granite", {{"embedding_scale", 12.0f},
                                             {"residual_scale", 0.22f},
                                             {"attention.scale", 0.0625f},
                                             {"logit_scale", 8.0f}}));
  ASSERT_TRUE(granite.ok()) << granite.status();
  EXPECT_EQ(granite->embedding_scale, 12.0f);
  EXPECT_EQ(granite->residual_scale, 0.22f);
  EXPECT_EQ(granite->attention_scale, 0.0625f);
  EXPECT_EQ(granite->logit_scale, 0.125f);
}

TEST(ConfigTest, TheLargestGemmaScalesItsScoresByItsWidth) {
  for (const auto& [name, layers] :
       {std::pair{"gemma2", 46u}, std::pair{"gemma3", 62u}}) {
    EXPECT_EQ(Read(With(name, {{"block_count", layers},
                               {"attention.key_length", 64u},
                               {"attention.value_length", 64u}}))
                  ->attention_scale,
              0.25f);  // width 64, 4 heads
    EXPECT_EQ(Read(With(name, {{"block_count", layers - 1},
                               {"attention.key_length", 64u},
                               {"attention.value_length", 64u}}))
                  ->attention_scale,
              0.125f);
  }
}

TEST(ConfigTest, AWindowBoundsWhatIsSeen) {
  const auto mistral = Read(With("llama", {{"attention.sliding_window", 8u}}));
  ASSERT_TRUE(mistral.ok()) << mistral.status();
  EXPECT_EQ(mistral->FirstSeen(0, 7), 0);
  EXPECT_EQ(mistral->FirstSeen(0, 8), 1);
  EXPECT_EQ(mistral->FirstSeen(1, 100), 93);
  const auto some =
      Read(With("llama", {{"attention.sliding_window", 8u},
                          {"attention.sliding_window_pattern", 2u}}));
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(some->FirstSeen(0, 100), 93);
  EXPECT_EQ(some->FirstSeen(1, 100), 0);
  EXPECT_EQ(Read(With("llama", {}))->FirstSeen(0, 100), 0);
}

TEST(ConfigTest, ReadsRopeScaling) {
  EXPECT_EQ(Read(With("llama", {{"rope.scaling.type", std::string("none")},
                                {"rope.scaling.factor", 4.0f}}))
                ->rope.scaling,
            RopeScaling::kNone);
  const auto older = Read(With("llama", {{"rope.scale_linear", 4.0f}}));
  ASSERT_TRUE(older.ok()) << older.status();
  EXPECT_EQ(older->rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(older->rope.factor, 4);
  const auto yarn =
      Read(With("llama", {{"rope.scaling.type", std::string("yarn")},
                          {"rope.scaling.factor", 4.0f},
                          {"rope.scaling.original_context_length", 64u},
                          {"rope.scaling.yarn_beta_fast", 16.0f},
                          {"rope.scaling.yarn_beta_slow", 2.0f}}));
  ASSERT_TRUE(yarn.ok()) << yarn.status();
  EXPECT_EQ(yarn->rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(yarn->rope.original_context, 64);
  EXPECT_EQ(yarn->rope.beta_fast, 16);
  EXPECT_EQ(yarn->rope.beta_slow, 2);
}

TEST(ConfigTest, ReadsRopeFactors) {
  const std::vector<float> factors = {1, 1, 1, 2, 4, 8, 8, 8};
  TinyModel llama3 = With("llama", {});
  llama3.tensors.push_back(Vector(kRopeFactors, factors));
  const auto config = Read(llama3);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope.factors, factors);

  TinyModel phi3 =
      With("phi3", {{"rope.scaling.attn_factor", 1.25f},
                    {"rope.scaling.original_context_length", 64u}});
  phi3.tensors.push_back(Vector(kRopeFactorsLong, factors));
  EXPECT_THAT(std::string(Read(phi3).status().message()),
              HasSubstr("'rope_factors_short.weight' is missing"));
  phi3.tensors.push_back(
      Vector(kRopeFactorsShort, std::vector<float>(8, 1.0f)));
  const auto with_both = Read(phi3);
  ASSERT_TRUE(with_both.ok()) << with_both.status();
  EXPECT_EQ(with_both->rope.scaling, RopeScaling::kLongRope);
  EXPECT_EQ(with_both->rope.long_factors, factors);
  EXPECT_EQ(with_both->rope.magnitude, 1.25);
  phi3.metadata["phi3.rope.scaling.type"] = std::string("yarn");
  ExpectUnsupported(phi3, "'phi3.rope.scaling.type'");
}

TEST(ConfigTest, AnExtendedContextNeedsItsFactors) {
  const absl::Status extended =
      Read(With("phi3", {{"rope.scaling.original_context_length", 64u}}))
          .status();
  EXPECT_THAT(std::string(extended.message()),
              HasSubstr("tensor 'rope_factors_long.weight' is missing: the "
                        "context of 256 is an extension of 64 tokens"));
  const absl::Status longrope =
      Read(With("llama", {{"rope.scaling.type", std::string("longrope")}}))
          .status();
  EXPECT_THAT(std::string(longrope.message()),
              HasSubstr("'rope_factors_long.weight' is missing"));
  EXPECT_TRUE(
      Read(With("phi3", {{"rope.scaling.original_context_length", 256u}}))
          .ok());
}

TEST(ConfigTest, RopeFactorsAreChecked) {
  const std::vector<std::vector<float>> bad = {
      {1, 2, 3},                 // of 8 pairs
      {1, 1, 1, 1, 1, 1, 1, 0},  // divides by 0
      {1, 1, 1, 1, 1, 1, 1, -1},
      {1, 1, 1, 1, 1, 1, 1, kNan},
      {1, 1, 1, 1, 1, 1, 1, kInfinity},
      {1, 0.3f, 0.1f, 0.03f, 0.01f, 0.003f, 0.001f, 0.0003f},  // frequencies
  };
  for (const std::vector<float>& factors : bad) {
    TinyModel model = With("llama", {});
    model.tensors.push_back(Vector(kRopeFactors, factors));
    const absl::Status status = Read(model).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(": tensor 'rope_freqs.weight': "));
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

// A key of the table whose value asks for nothing leaves the config as it is.
TEST(ConfigTest, NeutralValuesChangeNothing) {
  const auto hash_of = [](const TinyModel& model) {
    const absl::StatusOr<ModelConfig> config = Read(model);
    EXPECT_TRUE(config.ok()) << config.status();
    Sha256 hash;
    if (config.ok()) config->AddTo(&hash);
    return hash.HexDigest();
  };
  const std::vector<BadValue> neutral = {
      {"attention.causal", true},
      {"rope.scaling.finetuned", false},
      {"rope.scaling.finetuned", true},
      {"rope.scaling.attn_factor", 1.0f},
      {"rope.scaling.yarn_ext_factor", 0.0f},
      {"rope.scaling.yarn_beta_fast", 32.0f},
      {"rope.freq_base_swa", 10000.0f},
      {"rope.dimension_count_swa", uint32_t{16}},
      {"pooling_type", uint32_t{0}},
      {"attention.clamp_kqv", 0.0f},
      {"attention.max_alibi_bias", 0.0f},
      {"attention.key_length_swa", uint32_t{16}},
      {"use_parallel_residual", false},
      {"expert_feed_forward_length", uint32_t{64}},
      {"logit_scale", 1.0f},
      {"embedding_scale", 1.0f},
      {"final_logit_softcapping", 0.0f},
      // No shorter than the context of 256.
      {"attention.sliding_window", uint32_t{256}},
  };
  const std::string base = hash_of(TinyModel({.architecture = "qwen2"}));
  for (const BadValue& key : neutral) {
    TinyModel model({.architecture = "qwen2"});
    model.metadata[absl::StrCat("qwen2.", key.key)] = key.value;
    EXPECT_EQ(hash_of(model), base) << key.key;
  }
  const std::vector<BadValue> asking = {
      {"attention.causal", false},
      {"attention.causal", uint32_t{1}},
      {"rope.scaling.yarn_ext_factor", 1.0f},
      {"rope.freq_base_swa", 5000.0f},
      {"rope.dimension_count_swa", uint32_t{8}},
      {"pooling_type", uint32_t{1}},
      {"attention.max_alibi_bias", 8.0f},
      {"attention.key_length_swa", uint32_t{8}},
      {"use_parallel_residual", true},
      {"logit_scale", 0.5f},
      {"embedding_scale", 2.0f},
      {"final_logit_softcapping", 30.0f},
      {"attention.sliding_window", uint32_t{255}},
  };
  for (const BadValue& key : asking) {
    TinyModel model({.architecture = "qwen2"});
    model.metadata[absl::StrCat("qwen2.", key.key)] = key.value;
    ExpectUnsupported(model, absl::StrCat("key 'qwen2.", key.key, "': is "));
  }
}

TEST(ConfigTest, HeadsMayBeGivenForEachLayer) {
  const auto read = [](const std::string& key,
                       const std::vector<int32_t>& values) {
    TinyModel model(TinyModelSpec{});
    model.metadata["llama." + key] = values;
    return Read(model);
  };
  const ModelConfig base = *Read(TinyModel(TinyModelSpec{}));
  EXPECT_EQ(read("attention.head_count", {4, 4})->heads, base.heads);
  EXPECT_EQ(read("attention.head_count_kv", {2, 2})->kv_heads, base.kv_heads);
  EXPECT_EQ(read("feed_forward_length", {96, 96})->feed_forward_width,
            base.feed_forward_width);
  EXPECT_THAT(
      std::string(read("attention.head_count_kv", {2, 1}).status().message()),
      HasSubstr("'llama.attention.head_count_kv': gives layers that differ"));
  EXPECT_THAT(
      std::string(read("feed_forward_length", {96}).status().message()),
      HasSubstr("'llama.feed_forward_length': has 1 elements for 2 layers"));
}

TEST(ConfigTest, EveryFieldIsHashed) {
  const auto hash_of = [](const ModelConfig& config) {
    Sha256 hash;
    config.AddTo(&hash);
    return hash.HexDigest();
  };
  const ModelConfig base = *Read(TinyModel(TinyModelSpec{}));
  const std::vector<void (*)(ModelConfig*)> changes = {
      [](ModelConfig* c) { c->architecture.push_back('x'); },
      [](ModelConfig* c) { ++c->layers; },
      [](ModelConfig* c) { ++c->width; },
      [](ModelConfig* c) { ++c->feed_forward_width; },
      [](ModelConfig* c) { ++c->heads; },
      [](ModelConfig* c) { ++c->kv_heads; },
      [](ModelConfig* c) { ++c->head_dim; },
      [](ModelConfig* c) { ++c->rope.dims; },
      [](ModelConfig* c) { c->local_rope = RopeConfig(); },
      [](ModelConfig* c) { c->features.rope_pairs = RopePairs::kHalfSplit; },
      [](ModelConfig* c) { c->features.activation = Activation::kGelu; },
      [](ModelConfig* c) { c->features.qkv_biases = true; },
      [](ModelConfig* c) { c->features.head_norms = true; },
      [](ModelConfig* c) { c->features.post_norms = true; },
      [](ModelConfig* c) { c->features.fused_inputs = true; },
      [](ModelConfig* c) { c->embedding_scale *= 2; },
      [](ModelConfig* c) { c->residual_scale *= 2; },
      [](ModelConfig* c) { c->attention_scale *= 2; },
      [](ModelConfig* c) { c->attention_soft_cap = 1; },
      [](ModelConfig* c) { c->logit_scale *= 2; },
      [](ModelConfig* c) { c->logit_soft_cap = 1; },
      [](ModelConfig* c) { ++c->windows.window; },
      [](ModelConfig* c) { ++c->windows.period; },
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
