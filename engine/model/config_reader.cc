#include "engine/model/config_reader.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_error.h"

namespace tandem {
namespace {

// Keys that change nothing.
constexpr absl::string_view kKeysOfNoEffect[] = {
    "tensor_data_layout",
    "expert_used_count",  // says nothing where expert_count is 0
};

// Keys that change nothing while they are 0.
constexpr absl::string_view kKeysAllowedAtZero[] = {
    "expert_count",
    "attention.sliding_window",
};

// Keys that change nothing while they are true: granite's files say by it
// whether there is RoPE, others say what training was.
constexpr absl::string_view kKeysAllowedWhenTrue[] = {"rope.scaling.finetuned"};

template <size_t kCount>
bool Contains(const absl::string_view (&keys)[kCount], absl::string_view key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

// Whether the value is the one that asks for nothing.
bool IsHarmless(absl::string_view suffix, const GgufEntry& entry) {
  if (Contains(kKeysOfNoEffect, suffix)) return true;
  if (Contains(kKeysAllowedWhenTrue, suffix)) {
    const auto* value = std::get_if<bool>(&entry.value);
    return value != nullptr && *value;
  }
  if (!Contains(kKeysAllowedAtZero, suffix)) return false;
  if (const auto* value = std::get_if<uint64_t>(&entry.value)) {
    return *value == 0;
  }
  const auto* value = std::get_if<int64_t>(&entry.value);
  return value != nullptr && *value == 0;
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

ConfigReader::ConfigReader(const GgufFile& file, absl::string_view architecture)
    : file_(file), prefix_(absl::StrCat(architecture, ".")) {}

std::string ConfigReader::Key(absl::string_view suffix) const {
  return absl::StrCat(prefix_, suffix);
}

bool ConfigReader::Has(absl::string_view suffix) {
  std::string key = Key(suffix);
  const bool has = file_.FindEntry(key) != nullptr;
  asked_.insert(std::move(key));
  return has;
}

absl::StatusOr<int64_t> ConfigReader::Count(absl::string_view suffix,
                                            uint64_t maximum) {
  if (!Has(suffix)) return Missing(Key(suffix));
  TANDEM_ASSIGN_OR_RETURN(const int64_t value, SizeOr(suffix, maximum, 0));
  if (value >= 1) return value;
  return Malformed(suffix, absl::StrCat("must be in [1, ", maximum, "], is 0"));
}

absl::StatusOr<int64_t> ConfigReader::CountOr(absl::string_view suffix,
                                              uint64_t maximum,
                                              int64_t absent) {
  if (!Has(suffix)) return absent;
  return Count(suffix, maximum);
}

absl::StatusOr<int64_t> ConfigReader::SizeOr(absl::string_view suffix,
                                             uint64_t maximum, int64_t absent) {
  if (!Has(suffix)) return absent;
  TANDEM_ASSIGN_OR_RETURN(const uint64_t value, file_.GetUint(Key(suffix)));
  if (value <= maximum) return static_cast<int64_t>(value);
  return Malformed(suffix,
                   absl::StrCat("must be at most ", maximum, ", is ", value));
}

absl::StatusOr<double> ConfigReader::Number(absl::string_view suffix,
                                            const Range& range) {
  if (!Has(suffix)) return Missing(Key(suffix));
  TANDEM_ASSIGN_OR_RETURN(const double value, file_.GetFloat(Key(suffix)));
  if (std::isfinite(value) && value >= range.minimum &&
      value <= range.maximum) {
    return value;
  }
  return Malformed(suffix, absl::StrCat("must be in [", range.minimum, ", ",
                                        range.maximum, "], is ", value));
}

absl::StatusOr<double> ConfigReader::NumberOr(absl::string_view suffix,
                                              const Range& range,
                                              double absent) {
  if (!Has(suffix)) return absent;
  return Number(suffix, range);
}

absl::StatusOr<absl::string_view> ConfigReader::TextOrEmpty(
    absl::string_view suffix) {
  if (!Has(suffix)) return absl::string_view();
  return file_.GetString(Key(suffix));
}

absl::Status ConfigReader::Malformed(absl::string_view suffix,
                                     absl::string_view what) const {
  return file_.MalformedEntry(Key(suffix), what);
}

absl::Status ConfigReader::Unsupported(absl::string_view suffix) const {
  const std::string key = Key(suffix);
  return UnsupportedModel(
      file_, absl::StrCat("offset ", file_.FindEntry(key)->offset, ": key ",
                          QuoteForError(key),
                          ": asks for what this build does not compute"));
}

absl::Status ConfigReader::CheckNoUnknownKeys() const {
  for (const GgufEntry& entry : file_.entries()) {
    if (!absl::StartsWith(entry.key, prefix_)) continue;
    const absl::string_view suffix =
        absl::string_view(entry.key).substr(prefix_.size());
    if (asked_.contains(entry.key) || IsHarmless(suffix, entry)) continue;
    return Unsupported(suffix);
  }
  return absl::OkStatus();
}

absl::Status ConfigReader::Missing(absl::string_view key) const {
  return MalformedModel(file_, absl::StrCat("key '", key, "' is missing"));
}

}  // namespace tandem
