#include "engine/model/neutral_keys.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/gguf/gguf_error.h"

namespace tandem {
namespace {

// Nothing: any value.
using Neutral = std::variant<std::monostate, bool, double>;

struct NeutralKey {
  absl::string_view suffix;
  Neutral value = {};
};

// By suffix.
constexpr NeutralKey kNeutralKeys[] = {
    {"attention.alibi_bias_max", 0.0},
    {"attention.causal", true},
    {"attention.clamp_kqv", 0.0},
    {"attention.max_alibi_bias", 0.0},
    {"attention.scale", 0.0},  // of the length of heads
    {"attention.shared_kv_layers", 0.0},
    {"attention.sliding_window", 0.0},
    {"attention.temperature_scale", 0.0},
    {"attn_logit_softcapping", 0.0},
    {"embedding_length_per_layer_input", 0.0},
    {"expert_count", 0.0},
    {"expert_shared_count", 0.0},
    {"final_logit_softcapping", 0.0},
    {"logit_scale", 1.0},
    {"nextn_predict_layers", 0.0},
    {"pooling_type", 0.0},
    {"residual_scale", 1.0},
    {"rope.scaling.finetuned"},       // says what training was
    {"rope.scaling.yarn_beta_fast"},  // of yarn alone, which reads them
    {"rope.scaling.yarn_beta_slow"},
    {"rope.scaling.yarn_log_multiplier", 0.0},
    {"tensor_data_layout"},
    {"use_parallel_residual", false},
};

bool Matches(const Neutral& neutral, const GgufEntry& entry) {
  if (const auto* flag = std::get_if<bool>(&neutral)) {
    const auto* value = std::get_if<bool>(&entry.value);
    return value != nullptr && *value == *flag;
  }
  if (const auto* number = std::get_if<double>(&neutral)) {
    return IsNumber(entry, *number);
  }
  return true;
}

}  // namespace

bool IsNeutral(absl::string_view suffix, const GgufEntry& entry) {
  const auto* found = std::find_if(
      std::begin(kNeutralKeys), std::end(kNeutralKeys),
      [suffix](const NeutralKey& key) { return key.suffix == suffix; });
  if (found != std::end(kNeutralKeys)) return Matches(found->value, entry);
  // How experts are chosen and weighed says nothing where there are none; a
  // file that has some is refused for their number.
  return absl::StartsWith(suffix, "expert_");
}

bool IsNumber(const GgufEntry& entry, double number) {
  return std::visit(
      [number](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, bool> ||
                      !std::is_arithmetic_v<Value>) {
          return false;
        } else {
          return static_cast<double>(value) == number;
        }
      },
      entry.value);
}

std::string DescribeValue(const GgufEntry& entry) {
  return std::visit(
      [](const auto& value) -> std::string {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, bool>) {
          return value ? "true" : "false";
        } else if constexpr (std::is_same_v<Value, absl::string_view>) {
          return QuoteForError(value);
        } else if constexpr (std::is_same_v<Value, GgufArray>) {
          return absl::StrCat("an array of ", value.size(), " elements");
        } else {
          return absl::StrCat(value);
        }
      },
      entry.value);
}

}  // namespace tandem
