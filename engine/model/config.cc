#include "engine/model/config.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_error.h"

namespace tandem {
namespace {

// What is known of one architecture. Its keys are "<name>.<suffix>".
struct Architecture {
  absl::string_view name;
};

constexpr std::array<Architecture, 1> kArchitectures = {{{.name = "llama"}}};

// No model comes near these; they keep every product of two of them inside 64
// bits. What a file claims below them is checked against its tensors.
constexpr uint64_t kLayersMax = 4096;
constexpr uint64_t kWidthMax = 1 << 20;
constexpr uint64_t kHeadsMax = 1 << 14;
constexpr uint64_t kHeadDimMax = 1 << 12;
constexpr uint64_t kContextMax = 1 << 24;
constexpr uint64_t kVocabMax = 1 << 24;
constexpr double kNormEpsilonMax = 0.1;

// Keys that the reader below takes, and keys that change nothing.
constexpr std::array<absl::string_view, 14> kKnownKeys = {
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "context_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
    "rope.freq_base",
    "tensor_data_layout",
    "expert_used_count",  // says nothing where expert_count is 0
};

// Keys that change nothing while they are 0.
constexpr std::array<absl::string_view, 2> kKeysAllowedAtZero = {
    "expert_count",
    "attention.sliding_window",
};

const Architecture* FindArchitecture(absl::string_view name) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

template <size_t kCount>
bool Contains(const std::array<absl::string_view, kCount>& keys,
              absl::string_view key) {
  for (absl::string_view candidate : keys) {
    if (candidate == key) return true;
  }
  return false;
}

// Reads the keys of one architecture in one file.
class Reader {
 public:
  Reader(const GgufFile& file, absl::string_view architecture)
      : file_(file), prefix_(absl::StrCat(architecture, ".")) {}

  // An integer in [1, maximum].
  absl::StatusOr<int64_t> Count(absl::string_view suffix,
                                uint64_t maximum) const {
    const std::string key = absl::StrCat(prefix_, suffix);
    const absl::StatusOr<uint64_t> value = file_.GetUint(key);
    if (absl::IsNotFound(value.status())) return Missing(key);
    if (!value.ok()) return value.status();
    return InRange(key, *value, maximum);
  }

  // The same, with a value for an absent key.
  absl::StatusOr<int64_t> CountOr(absl::string_view suffix, uint64_t maximum,
                                  int64_t absent) const {
    if (!Has(suffix)) return absent;
    return Count(suffix, maximum);
  }

  // A float that is not NaN, in [minimum, maximum].
  absl::StatusOr<double> Number(absl::string_view suffix, double minimum,
                                double maximum) const {
    const std::string key = absl::StrCat(prefix_, suffix);
    const absl::StatusOr<double> value = file_.GetFloat(key);
    if (absl::IsNotFound(value.status())) return Missing(key);
    if (!value.ok()) return value.status();
    if (std::isfinite(*value) && *value >= minimum && *value <= maximum) {
      return *value;
    }
    return file_.MalformedEntry(key, absl::StrCat("must be in [", minimum, ", ",
                                                  maximum, "], is ", *value));
  }

  absl::StatusOr<double> NumberOr(absl::string_view suffix, double minimum,
                                  double maximum, double absent) const {
    if (!Has(suffix)) return absent;
    return Number(suffix, minimum, maximum);
  }

  bool Has(absl::string_view suffix) const {
    return file_.FindEntry(absl::StrCat(prefix_, suffix)) != nullptr;
  }

  absl::Status Malformed(absl::string_view suffix,
                         absl::string_view what) const {
    return file_.MalformedEntry(absl::StrCat(prefix_, suffix), what);
  }

  // A key under the architecture's name may change the result, so one that is
  // not known is refused rather than ignored.
  absl::Status CheckNoUnknownKeys() const {
    for (const GgufEntry& entry : file_.entries()) {
      if (!absl::StartsWith(entry.key, prefix_)) continue;
      const absl::string_view suffix =
          absl::string_view(entry.key).substr(prefix_.size());
      if (Contains(kKnownKeys, suffix) || IsHarmless(suffix, entry)) continue;
      return UnsupportedModel(
          file_, absl::StrCat("offset ", entry.offset, ": key ",
                              QuoteForError(entry.key),
                              ": asks for what this build does not compute"));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Missing(absl::string_view key) const {
    return MalformedModel(file_, absl::StrCat("key '", key, "' is missing"));
  }

  absl::StatusOr<int64_t> InRange(absl::string_view key, uint64_t value,
                                  uint64_t maximum) const {
    if (value >= 1 && value <= maximum) return static_cast<int64_t>(value);
    return file_.MalformedEntry(
        key, absl::StrCat("must be in [1, ", maximum, "], is ", value));
  }

  // Whether the value is the one that asks for nothing.
  static bool IsHarmless(absl::string_view suffix, const GgufEntry& entry) {
    if (suffix == "rope.scaling.type") {
      const auto* text = std::get_if<absl::string_view>(&entry.value);
      return text != nullptr && *text == "none";
    }
    if (!Contains(kKeysAllowedAtZero, suffix)) return false;
    if (const auto* value = std::get_if<uint64_t>(&entry.value)) {
      return *value == 0;
    }
    const auto* value = std::get_if<int64_t>(&entry.value);
    return value != nullptr && *value == 0;
  }

  const GgufFile& file_;
  std::string prefix_;
};

absl::Status ReadHeads(const Reader& reader, ModelConfig* config) {
  TANDEM_ASSIGN_OR_RETURN(config->heads,
                          reader.Count("attention.head_count", kHeadsMax));
  TANDEM_ASSIGN_OR_RETURN(
      config->kv_heads,
      reader.CountOr("attention.head_count_kv", kHeadsMax, config->heads));
  if (config->kv_heads > config->heads ||
      config->heads % config->kv_heads != 0) {
    return reader.Malformed(
        "attention.head_count_kv",
        absl::StrCat("is ", config->kv_heads, ", must divide head_count ",
                     config->heads));
  }
  if (!reader.Has("attention.key_length") &&
      config->width % config->heads != 0) {
    return reader.Malformed(
        "attention.head_count",
        absl::StrCat("is ", config->heads, ", must divide embedding_length ",
                     config->width));
  }
  TANDEM_ASSIGN_OR_RETURN(config->head_dim,
                          reader.CountOr("attention.key_length", kHeadDimMax,
                                         config->width / config->heads));
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t value_dim,
      reader.CountOr("attention.value_length", kHeadDimMax, config->head_dim));
  if (value_dim != config->head_dim) {
    return reader.Malformed(
        "attention.value_length",
        absl::StrCat("is ", value_dim, ", must be the length of keys, ",
                     config->head_dim));
  }
  const absl::string_view source = reader.Has("attention.key_length")
                                       ? "attention.key_length"
                                       : "attention.head_count";
  if (config->head_dim > static_cast<int64_t>(kHeadDimMax) ||
      config->head_dim % 2 != 0) {
    return reader.Malformed(
        source,
        absl::StrCat("gives heads of ", config->head_dim,
                     " dimensions; must be even and at most ", kHeadDimMax));
  }
  return absl::OkStatus();
}

absl::Status ReadRope(const Reader& reader, ModelConfig* config) {
  constexpr double kDefaultBase = 10000.0;  // of the format, where absent
  constexpr double kBaseMax = 1e15;
  TANDEM_ASSIGN_OR_RETURN(
      config->rotary_dims,
      reader.CountOr("rope.dimension_count", kHeadDimMax, config->head_dim));
  if (config->rotary_dims > config->head_dim || config->rotary_dims % 2 != 0) {
    return reader.Malformed(
        "rope.dimension_count",
        absl::StrCat("is ", config->rotary_dims,
                     ", must be even and at most the head's ", config->head_dim,
                     " dimensions"));
  }
  TANDEM_ASSIGN_OR_RETURN(
      config->rope_base,
      reader.NumberOr("rope.freq_base", 1.0, kBaseMax, kDefaultBase));
  return absl::OkStatus();
}

// From the embedding table; `<architecture>.vocab_size` must say the same.
absl::Status ReadVocabSize(const GgufFile& file, const Reader& reader,
                           ModelConfig* config) {
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
      reader.CountOr("vocab_size", kVocabMax, config->vocab_size));
  if (stated != config->vocab_size) {
    return reader.Malformed(
        "vocab_size", absl::StrCat("is ", stated, ", token_embd.weight has ",
                                   config->vocab_size, " rows"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MalformedModel(const GgufFile& file, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {kReasonMalformedFile, {}},
                   absl::StrCat(file.name(), ": ", what));
}

absl::Status UnsupportedModel(const GgufFile& file, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {kReasonUnsupportedModel, {}},
                   absl::StrCat(file.name(), ": ", what));
}

absl::StatusOr<ModelConfig> ModelConfig::FromGguf(const GgufFile& file) {
  const absl::StatusOr<absl::string_view> name =
      file.GetString("general.architecture");
  if (absl::IsNotFound(name.status())) {
    return MalformedModel(file, "key 'general.architecture' is missing");
  }
  if (!name.ok()) return name.status();
  const Architecture* architecture = FindArchitecture(*name);
  if (architecture == nullptr) {
    return UnsupportedModel(
        file, absl::StrCat("architecture ", QuoteForError(*name),
                           " is not supported (supported: llama)"));
  }
  const Reader reader(file, architecture->name);
  TANDEM_RETURN_IF_ERROR(reader.CheckNoUnknownKeys());

  ModelConfig config;
  config.architecture = std::string(architecture->name);
  TANDEM_ASSIGN_OR_RETURN(config.layers,
                          reader.Count("block_count", kLayersMax));
  TANDEM_ASSIGN_OR_RETURN(config.width,
                          reader.Count("embedding_length", kWidthMax));
  TANDEM_ASSIGN_OR_RETURN(config.feed_forward_width,
                          reader.Count("feed_forward_length", kWidthMax));
  TANDEM_ASSIGN_OR_RETURN(config.context_length,
                          reader.Count("context_length", kContextMax));
  TANDEM_RETURN_IF_ERROR(ReadHeads(reader, &config));
  TANDEM_RETURN_IF_ERROR(ReadRope(reader, &config));
  TANDEM_ASSIGN_OR_RETURN(
      const double epsilon,
      reader.Number("attention.layer_norm_rms_epsilon",
                    std::numeric_limits<float>::min(), kNormEpsilonMax));
  config.norm_epsilon = static_cast<float>(epsilon);
  TANDEM_RETURN_IF_ERROR(ReadVocabSize(file, reader, &config));
  return config;
}

void ModelConfig::AddTo(Sha256* hash) const {
  hash->AddString(architecture);
  for (int64_t number : {layers, width, feed_forward_width, heads, kv_heads,
                         head_dim, rotary_dims, context_length, vocab_size}) {
    hash->AddNumber(static_cast<uint64_t>(number));
  }
  hash->AddNumber(std::bit_cast<uint64_t>(rope_base));
  hash->AddNumber(std::bit_cast<uint32_t>(norm_epsilon));
}

}  // namespace tandem
