#include "engine/sampling/gen_options.h"

#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

constexpr float kTemperatureMax = 100.0f;
constexpr float kRepetitionPenaltyMax = 10.0f;
constexpr float kPenaltyLimit = 10.0f;
constexpr float kBiasLimit = 1000.0f;

// Collects what is wrong.
class Violations {
 public:
  void Add(std::string field, std::string description) {
    list_.push_back(
        {.field = std::move(field), .description = std::move(description)});
  }

  void CheckInteger(absl::string_view field, int64_t value, int64_t low,
                    int64_t high) {
    if (value >= low && value <= high) return;
    Add(std::string(field),
        absl::StrCat("must be in [", low, ", ", high, "], is ", value));
  }

  // In [low, high]; a NaN never is.
  void CheckFloat(absl::string_view field, float value, float low, float high) {
    if (value >= low && value <= high) return;
    Add(std::string(field),
        absl::StrCat("must be in [", low, ", ", high, "], is ", value));
  }

  // In (0, high].
  void CheckPositive(absl::string_view field, float value, float high) {
    if (value > 0 && value <= high) return;
    Add(std::string(field),
        absl::StrCat("must be above 0 and at most ", high, ", is ", value));
  }

  // False, and noted, where there are more than `limit`.
  bool CheckCount(absl::string_view field, size_t count, int limit) {
    if (count <= static_cast<size_t>(limit)) return true;
    Add(std::string(field),
        absl::StrCat("must have at most ", limit, " entries, has ", count));
    return false;
  }

  void CheckToken(std::string field, TokenId id, int vocab_size) {
    if (id >= 0 && id < vocab_size) return;
    Add(std::move(field),
        absl::StrCat("must be a token id below ", vocab_size, ", is ", id));
  }

  absl::Status ToStatus() && {
    if (list_.empty()) return absl::OkStatus();
    const std::string message = absl::StrCat(
        "invalid options: ",
        absl::StrJoin(
            list_, "; ", [](std::string* out, const FieldViolation& violation) {
              absl::StrAppend(out, violation.field, " ", violation.description);
            }));
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        {.reason = kReasonInvalidOptions, .violations = std::move(list_)},
        message);
  }

 private:
  std::vector<FieldViolation> list_;
};

void CheckLogitBias(absl::Span<const LogitBias> logit_bias, int vocab_size,
                    Violations* violations) {
  if (!violations->CheckCount("logit_bias", logit_bias.size(),
                              kLogitBiasLimit)) {
    return;
  }
  absl::flat_hash_set<TokenId> seen;
  for (size_t i = 0; i < logit_bias.size(); ++i) {
    const std::string field = absl::StrCat("logit_bias[", i, "]");
    const LogitBias& entry = logit_bias[i];
    violations->CheckToken(field, entry.id, vocab_size);
    if (!seen.insert(entry.id).second) {
      violations->Add(field, absl::StrCat("names token ", entry.id, " again"));
    }
    const bool bans = std::isinf(entry.bias) && entry.bias < 0;
    if (!bans && !(std::fabs(entry.bias) <= kBiasLimit)) {
      violations->Add(
          field, absl::StrCat("bias must be in [-", kBiasLimit, ", ",
                              kBiasLimit, "] or -infinity, is ", entry.bias));
    }
  }
}

void CheckStops(const GenOptions& options, int vocab_size,
                Violations* violations) {
  if (violations->CheckCount("stop_token_ids", options.stop_token_ids.size(),
                             kStopTokenIdsLimit)) {
    for (size_t i = 0; i < options.stop_token_ids.size(); ++i) {
      violations->CheckToken(absl::StrCat("stop_token_ids[", i, "]"),
                             options.stop_token_ids[i], vocab_size);
    }
  }
  if (!violations->CheckCount("stop_strings", options.stop_strings.size(),
                              kStopStringsLimit)) {
    return;
  }
  for (size_t i = 0; i < options.stop_strings.size(); ++i) {
    const std::string& text = options.stop_strings[i];
    const std::string field = absl::StrCat("stop_strings[", i, "]");
    if (text.empty() || text.size() > kStopStringBytesLimit) {
      violations->Add(field,
                      absl::StrCat("must have 1 to ", kStopStringBytesLimit,
                                   " bytes, has ", text.size()));
    } else if (!IsUtf8(text)) {
      violations->Add(field, "is not UTF-8");
    }
  }
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  const utf8proc_uint8_t* next =
      reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  utf8proc_ssize_t left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t bytes = utf8proc_iterate(next, left, &code_point);
    if (bytes <= 0) return false;
    next += bytes;
    left -= bytes;
  }
  return true;
}

absl::Status ValidateGenOptions(const GenOptions& options, int vocab_size) {
  Violations violations;
  violations.CheckInteger("max_tokens", options.max_tokens, 1, kMaxTokensLimit);
  violations.CheckInteger("min_tokens", options.min_tokens, 0,
                          std::max(options.max_tokens, 0));
  violations.CheckFloat("temperature", options.temperature, 0, kTemperatureMax);
  violations.CheckPositive("top_p", options.top_p, 1);
  violations.CheckInteger("top_k", options.top_k, 0, INT32_MAX);
  violations.CheckFloat("min_p", options.min_p, 0, 1);
  violations.CheckPositive("repetition_penalty", options.repetition_penalty,
                           kRepetitionPenaltyMax);
  violations.CheckFloat("presence_penalty", options.presence_penalty,
                        -kPenaltyLimit, kPenaltyLimit);
  violations.CheckFloat("frequency_penalty", options.frequency_penalty,
                        -kPenaltyLimit, kPenaltyLimit);
  violations.CheckInteger("choice", options.choice, 0, kChoicesLimit - 1);
  CheckLogitBias(options.logit_bias, vocab_size, &violations);
  CheckStops(options, vocab_size, &violations);
  if (options.logprobs.has_value()) {
    violations.CheckInteger("logprobs", *options.logprobs, 0, kLogprobsLimit);
  }
  if (options.draft_length.has_value()) {
    violations.CheckInteger("draft_length", *options.draft_length, 0,
                            kDraftLengthLimit);
  }
  violations.CheckInteger("draft_length_max", options.draft_length_max, 0,
                          kDraftLengthLimit);
  return std::move(violations).ToStatus();
}

uint64_t DrawSeed() {
  std::random_device entropy;  // getrandom or the CPU's own
  const uint64_t high = entropy();
  const uint64_t low = entropy();
  return ((high << 32) | low) >> 11;
}

}  // namespace tandem
