#include "engine/model/config.h"

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_error.h"
#include "engine/kernels/linear.h"
#include "engine/model/config_reader.h"

namespace tandem {
namespace {

// No model comes near these; they keep every product of two of them inside 64
// bits. What a file claims below them is checked against its tensors.
constexpr uint64_t kLayersMax = 4096;
constexpr uint64_t kWidthMax = 1 << 20;
constexpr uint64_t kHeadsMax = 1 << 14;
constexpr uint64_t kHeadDimMax = 1 << 12;
constexpr uint64_t kContextMax = 1 << 24;
constexpr uint64_t kVocabMax = 1 << 24;
constexpr double kNormEpsilonMax = 0.1;
// Of every factor that a file may multiply or cap something by.
constexpr ConfigReader::Range kScaleRange = {.minimum = 1e-6, .maximum = 1e6};

absl::Status ReadHeads(ConfigReader* reader, ModelConfig* config) {
  TANDEM_ASSIGN_OR_RETURN(config->heads,
                          reader->Count("attention.head_count", kHeadsMax));
  TANDEM_ASSIGN_OR_RETURN(
      config->kv_heads,
      reader->CountOr("attention.head_count_kv", kHeadsMax, config->heads));
  if (config->kv_heads > config->heads ||
      config->heads % config->kv_heads != 0) {
    return reader->Malformed(
        "attention.head_count_kv",
        absl::StrCat("is ", config->kv_heads, ", must divide head_count ",
                     config->heads));
  }
  if (!reader->Has("attention.key_length") &&
      config->width % config->heads != 0) {
    return reader->Malformed(
        "attention.head_count",
        absl::StrCat("is ", config->heads, ", must divide embedding_length ",
                     config->width));
  }
  TANDEM_ASSIGN_OR_RETURN(config->head_dim,
                          reader->CountOr("attention.key_length", kHeadDimMax,
                                          config->width / config->heads));
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t value_dim,
      reader->CountOr("attention.value_length", kHeadDimMax, config->head_dim));
  if (value_dim != config->head_dim) {
    return reader->Malformed(
        "attention.value_length",
        absl::StrCat("is ", value_dim, ", must be the length of keys, ",
                     config->head_dim));
  }
  for (const absl::string_view key :
       {"attention.key_length_swa", "attention.value_length_swa"}) {
    TANDEM_RETURN_IF_ERROR(
        reader->OnlyNumber(key, static_cast<double>(config->head_dim)));
  }
  const absl::string_view source = reader->Has("attention.key_length")
                                       ? "attention.key_length"
                                       : "attention.head_count";
  if (config->head_dim > static_cast<int64_t>(kHeadDimMax) ||
      config->head_dim % 2 != 0) {
    return reader->Malformed(
        source,
        absl::StrCat("gives heads of ", config->head_dim,
                     " dimensions; must be even and at most ", kHeadDimMax));
  }
  return absl::OkStatus();
}

// The factors of a tensor, one for each pair of dimensions; none where there
// is no such tensor.
absl::StatusOr<std::vector<float>> ReadFactors(const GgufFile& file,
                                               absl::string_view name,
                                               int64_t pairs) {
  // No published factor is below 1. Files from before 2024 may hold the
  // frequencies themselves under the name, which fall from 1 to 0.0001.
  constexpr float kFactorMin = 0.1f;
  constexpr float kFactorMax = 1e6f;
  const GgufTensor* tensor = file.FindTensor(name);
  if (tensor == nullptr) return std::vector<float>();
  const std::string where =
      absl::StrCat("offset ", tensor->offset, ": tensor ", QuoteForError(name));
  if (tensor->type != TensorType::kF32 || tensor->dims.size() != 1 ||
      tensor->dims[0] != static_cast<uint64_t>(pairs)) {
    return MalformedModel(file,
                          absl::StrCat(where, ": is no F32 vector of ", pairs,
                                       ", half of rope.dimension_count"));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<uint8_t> data,
                          file.ReadTensor(*tensor));
  std::vector<float> factors(pairs);
  Dequantize(tensor->type, data.data(), pairs, factors.data());
  for (float factor : factors) {
    if (factor >= kFactorMin && factor <= kFactorMax) continue;
    return MalformedModel(
        file, absl::StrCat(where, ": holds ", factor, ", must be in [",
                           kFactorMin, ", ", kFactorMax, "]"));
  }
  return factors;
}

absl::Status ReadRopeFactors(const GgufFile& file, RopeConfig* rope) {
  const int64_t pairs = rope->dims / 2;
  TANDEM_ASSIGN_OR_RETURN(rope->factors,
                          ReadFactors(file, kRopeFactors, pairs));
  if (!rope->factors.empty()) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(rope->factors,
                          ReadFactors(file, kRopeFactorsShort, pairs));
  TANDEM_ASSIGN_OR_RETURN(rope->long_factors,
                          ReadFactors(file, kRopeFactorsLong, pairs));
  if (rope->factors.empty() == rope->long_factors.empty()) {
    return absl::OkStatus();
  }
  return MalformedModel(
      file,
      absl::StrCat("tensor '",
                   rope->factors.empty() ? kRopeFactorsShort : kRopeFactorsLong,
                   "' is missing"));
}

// What rope.scaling.type and the tensors of factors ask for together.
absl::Status ReadRopeScaling(ConfigReader* reader, const ModelConfig& config,
                             RopeConfig* rope) {
  constexpr ConfigReader::Range kFactorRange = {.minimum = 1, .maximum = 1e6};
  constexpr absl::string_view kType = "rope.scaling.type";
  TANDEM_ASSIGN_OR_RETURN(const absl::string_view type,
                          reader->TextOrEmpty(kType));
  // The older key has the same meaning.
  TANDEM_ASSIGN_OR_RETURN(
      const double older,
      reader->NumberOr("rope.scale_linear", kFactorRange, 1));
  TANDEM_ASSIGN_OR_RETURN(rope->factor, reader->NumberOr("rope.scaling.factor",
                                                         kFactorRange, older));
  TANDEM_ASSIGN_OR_RETURN(
      rope->original_context,
      reader->CountOr("rope.scaling.original_context_length", kContextMax,
                      config.context_length));
  TANDEM_ASSIGN_OR_RETURN(
      rope->magnitude,
      reader->NumberOr("rope.scaling.attn_factor", {0.01, 100}, 1));
  TANDEM_RETURN_IF_ERROR(ReadRopeFactors(reader->file(), rope));
  if (!rope->long_factors.empty()) {
    if (!type.empty() && type != "longrope") return reader->Unsupported(kType);
    rope->scaling = RopeScaling::kLongRope;
    return absl::OkStatus();
  }
  if (type == "none") {
    rope->factor = 1;
    return absl::OkStatus();
  }
  if (type == "linear" || (type.empty() && rope->factor != 1)) {
    rope->scaling = RopeScaling::kLinear;
    return absl::OkStatus();
  }
  if (type == "yarn") {
    rope->scaling = RopeScaling::kYarn;
    TANDEM_ASSIGN_OR_RETURN(rope->beta_fast,
                            reader->NumberOr("rope.scaling.yarn_beta_fast",
                                             kScaleRange, rope->beta_fast));
    TANDEM_ASSIGN_OR_RETURN(rope->beta_slow,
                            reader->NumberOr("rope.scaling.yarn_beta_slow",
                                             kScaleRange, rope->beta_slow));
    if (rope->base > 1) return absl::OkStatus();
    return reader->Malformed("rope.freq_base", "must be above 1 for yarn");
  }
  if (!type.empty() && type != "longrope") return reader->Unsupported(kType);
  if (type.empty() && rope->original_context >= config.context_length) {
    return absl::OkStatus();
  }
  return MalformedModel(
      reader->file(),
      absl::StrCat("tensor '", kRopeFactorsLong,
                   "' is missing: the context of ", config.context_length,
                   " is an extension of ", rope->original_context, " tokens"));
}

absl::Status ReadRope(ConfigReader* reader, const Architecture& architecture,
                      ModelConfig* config) {
  constexpr double kDefaultBase = 10000.0;  // of the format, where absent
  constexpr ConfigReader::Range kBaseRange = {.minimum = 1, .maximum = 1e15};
  RopeConfig& rope = config->rope;
  rope.pairs = config->features.rope_pairs;
  TANDEM_ASSIGN_OR_RETURN(
      rope.dims,
      reader->CountOr("rope.dimension_count", kHeadDimMax, config->head_dim));
  if (rope.dims > config->head_dim || rope.dims % 2 != 0) {
    return reader->Malformed(
        "rope.dimension_count",
        absl::StrCat("is ", rope.dims, ", must be even and at most the head's ",
                     config->head_dim, " dimensions"));
  }
  TANDEM_ASSIGN_OR_RETURN(
      rope.base, reader->NumberOr("rope.freq_base", kBaseRange, kDefaultBase));
  TANDEM_RETURN_IF_ERROR(ReadRopeScaling(reader, *config, &rope));
  TANDEM_RETURN_IF_ERROR(
      reader->OnlyNumber("rope.scaling.yarn_ext_factor",
                         rope.scaling == RopeScaling::kYarn ? 1 : 0));
  TANDEM_RETURN_IF_ERROR(reader->OnlyNumber("rope.dimension_count_swa",
                                            static_cast<double>(rope.dims)));
  if (architecture.finetuned_means_rope) {
    constexpr absl::string_view kFinetuned = "rope.scaling.finetuned";
    TANDEM_ASSIGN_OR_RETURN(const bool has_rope,
                            reader->FlagOr(kFinetuned, /*absent=*/true));
    if (!has_rope) return reader->Unsupported(kFinetuned);
  }
  if (architecture.local_rope_base == 0) {
    return reader->OnlyNumber("rope.freq_base_swa", rope.base);
  }
  RopeConfig local = {.pairs = rope.pairs, .dims = rope.dims};
  TANDEM_ASSIGN_OR_RETURN(local.base,
                          reader->NumberOr("rope.freq_base_swa", kBaseRange,
                                           architecture.local_rope_base));
  if (config->windows.window > 0) config->local_rope = std::move(local);
  return absl::OkStatus();
}

absl::Status ReadWindow(ConfigReader* reader, const Architecture& architecture,
                        ModelConfig* config) {
  constexpr absl::string_view kWindow = "attention.sliding_window";
  if (!architecture.takes_window) {
    // One that reaches over the whole context hides nothing.
    TANDEM_ASSIGN_OR_RETURN(const int64_t window,
                            reader->SizeOr(kWindow, kContextMax, 0));
    if (window == 0 || window >= config->context_length) {
      return absl::OkStatus();
    }
    return reader->Unsupported(kWindow);
  }
  TANDEM_ASSIGN_OR_RETURN(
      config->windows.window,
      reader->SizeOr(kWindow, kContextMax, architecture.window));
  TANDEM_ASSIGN_OR_RETURN(
      config->windows.period,
      reader->SizeOr("attention.sliding_window_pattern", kLayersMax,
                     architecture.window_period));
  return absl::OkStatus();
}

// Absent: 1.
absl::StatusOr<float> ReadScale(ConfigReader* reader,
                                absl::string_view suffix) {
  TANDEM_ASSIGN_OR_RETURN(const double scale,
                          reader->NumberOr(suffix, kScaleRange, 1));
  return static_cast<float>(scale);
}

// A cap of 0 is none.
absl::StatusOr<float> ReadCap(ConfigReader* reader, absl::string_view suffix,
                              double absent) {
  TANDEM_ASSIGN_OR_RETURN(
      const double cap,
      reader->NumberOr(suffix, {0, kScaleRange.maximum}, absent));
  if (cap == 0 || cap >= kScaleRange.minimum) return static_cast<float>(cap);
  return reader->Malformed(
      suffix, absl::StrCat("must be 0 or at least ", kScaleRange.minimum,
                           ", is ", cap));
}

absl::Status ReadScales(ConfigReader* reader, const Architecture& architecture,
                        ModelConfig* config) {
  const double score_dims =
      config->layers == architecture.wide_score_layers
          ? static_cast<double>(config->width / config->heads)
          : static_cast<double>(config->head_dim);
  config->attention_scale = static_cast<float>(1.0 / std::sqrt(score_dims));
  if (architecture.scales_by_root_width) {
    config->embedding_scale =
        static_cast<float>(std::sqrt(static_cast<double>(config->width)));
  } else if (!architecture.takes_multipliers) {
    TANDEM_RETURN_IF_ERROR(reader->OnlyNumber("embedding_scale", 1));
  }
  if (architecture.takes_multipliers) {
    TANDEM_ASSIGN_OR_RETURN(config->embedding_scale,
                            ReadScale(reader, "embedding_scale"));
    TANDEM_ASSIGN_OR_RETURN(config->residual_scale,
                            ReadScale(reader, "residual_scale"));
    TANDEM_ASSIGN_OR_RETURN(const float divisor,
                            ReadScale(reader, "logit_scale"));
    config->logit_scale = 1.0f / divisor;
    if (reader->Has("attention.scale")) {
      TANDEM_ASSIGN_OR_RETURN(config->attention_scale,
                              ReadScale(reader, "attention.scale"));
    }
  }
  if (!architecture.takes_soft_caps) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(config->attention_soft_cap,
                          ReadCap(reader, "attn_logit_softcapping",
                                  architecture.attention_soft_cap));
  TANDEM_ASSIGN_OR_RETURN(
      config->logit_soft_cap,
      ReadCap(reader, "final_logit_softcapping", architecture.logit_soft_cap));
  return absl::OkStatus();
}

// From the embedding table; `<architecture>.vocab_size` must say the same.
absl::Status ReadVocabSize(ConfigReader* reader, ModelConfig* config) {
  const GgufFile& file = reader->file();
  const GgufTensor* table = file.FindTensor("token_embd.weight");
  if (table == nullptr || table->dims.size() != 2 || table->dims[1] == 0 ||
      table->dims[1] > kVocabMax) {
    return MalformedModel(
        file, absl::StrCat("tensor 'token_embd.weight' is missing or is not a "
                           "matrix of at most ",
                           kVocabMax, " rows"));
  }
  config->vocab_size = static_cast<int64_t>(table->dims[1]);
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t stated,
      reader->CountOr("vocab_size", kVocabMax, config->vocab_size));
  if (stated != config->vocab_size) {
    return reader->Malformed(
        "vocab_size", absl::StrCat("is ", stated, ", token_embd.weight has ",
                                   config->vocab_size, " rows"));
  }
  return absl::OkStatus();
}

absl::StatusOr<const Architecture*> ReadArchitecture(const GgufFile& file) {
  const absl::StatusOr<absl::string_view> name =
      file.GetString("general.architecture");
  if (absl::IsNotFound(name.status())) {
    return MalformedModel(file, "key 'general.architecture' is missing");
  }
  if (!name.ok()) return name.status();
  const Architecture* architecture = FindArchitecture(*name);
  if (architecture != nullptr) return architecture;
  return UnsupportedModel(
      file,
      absl::StrCat("architecture ", QuoteForError(*name),
                   " is not supported (supported: ", ArchitectureNames(), ")"));
}

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::FromGguf(const GgufFile& file) {
  TANDEM_ASSIGN_OR_RETURN(const Architecture* architecture,
                          ReadArchitecture(file));
  ConfigReader reader(file, architecture->name);
  ModelConfig config;
  config.architecture = std::string(architecture->name);
  config.features = architecture->features;
  TANDEM_ASSIGN_OR_RETURN(config.layers,
                          reader.Count("block_count", kLayersMax));
  reader.SetLayers(config.layers);
  TANDEM_ASSIGN_OR_RETURN(config.width,
                          reader.Count("embedding_length", kWidthMax));
  TANDEM_ASSIGN_OR_RETURN(config.feed_forward_width,
                          reader.Count("feed_forward_length", kWidthMax));
  TANDEM_ASSIGN_OR_RETURN(config.context_length,
                          reader.Count("context_length", kContextMax));
  TANDEM_RETURN_IF_ERROR(ReadHeads(&reader, &config));
  TANDEM_RETURN_IF_ERROR(ReadWindow(&reader, *architecture, &config));
  TANDEM_RETURN_IF_ERROR(ReadRope(&reader, *architecture, &config));
  TANDEM_RETURN_IF_ERROR(ReadScales(&reader, *architecture, &config));
  TANDEM_ASSIGN_OR_RETURN(
      const double epsilon,
      reader.Number("attention.layer_norm_rms_epsilon",
                    {std::numeric_limits<float>::min(), kNormEpsilonMax}));
  config.norm_epsilon = static_cast<float>(epsilon);
  TANDEM_RETURN_IF_ERROR(ReadVocabSize(&reader, &config));
  TANDEM_RETURN_IF_ERROR(reader.CheckNoUnknownKeys());
  return config;
}

void ModelConfig::AddTo(Sha256* hash) const {
  hash->AddString(architecture);
  for (int64_t number :
       {static_cast<int64_t>(features.rope_pairs),
        static_cast<int64_t>(features.activation), int64_t{features.qkv_biases},
        int64_t{features.head_norms}, int64_t{features.post_norms},
        int64_t{features.fused_inputs}, layers, width, feed_forward_width,
        heads, kv_heads, head_dim, context_length, vocab_size, windows.window,
        windows.period}) {
    hash->AddNumber(static_cast<uint64_t>(number));
  }
  for (float number :
       {norm_epsilon, embedding_scale, residual_scale, attention_scale,
        attention_soft_cap, logit_scale, logit_soft_cap}) {
    hash->AddNumber(std::bit_cast<uint32_t>(number));
  }
  rope.AddTo(hash);
  hash->AddNumber(local_rope.has_value());
  if (local_rope) local_rope->AddTo(hash);
}

}  // namespace tandem
