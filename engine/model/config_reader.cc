#include "engine/model/config_reader.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/gguf/gguf_error.h"
#include "engine/model/neutral_keys.h"

namespace tandem {
namespace {

// The elements of an array of integers; nothing where it holds others, or
// negative ones.
std::optional<std::vector<uint64_t>> SizesOf(const GgufArray& array) {
  if (array.element_type == GgufValueType::kBool) return std::nullopt;
  if (const auto* values = std::get_if<std::vector<uint64_t>>(&array.values)) {
    return *values;
  }
  const auto* values = std::get_if<std::vector<int64_t>>(&array.values);
  if (values == nullptr) return std::nullopt;
  if (std::any_of(values->begin(), values->end(),
                  [](int64_t value) { return value < 0; })) {
    return std::nullopt;
  }
  return std::vector<uint64_t>(values->begin(), values->end());
}

}  // namespace

absl::Status MalformedModel(const GgufFile& file, absl::string_view what) {
  return MalformedFile(absl::StrCat(file.name(), ": ", what));
}

absl::Status UnsupportedModel(const GgufFile& file, absl::string_view what) {
  return UnsupportedModel(absl::StrCat(file.name(), ": ", what));
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
  TANDEM_ASSIGN_OR_RETURN(const uint64_t value, Integer(suffix));
  if (value <= maximum) return static_cast<int64_t>(value);
  return Malformed(suffix,
                   absl::StrCat("must be at most ", maximum, ", is ", value));
}

// A number, or one for each layer where all are equal.
absl::StatusOr<uint64_t> ConfigReader::Integer(absl::string_view suffix) const {
  const std::string key = Key(suffix);
  const auto* array = std::get_if<GgufArray>(&file_.FindEntry(key)->value);
  if (array == nullptr || !layers_.has_value()) return file_.GetUint(key);
  const std::optional<std::vector<uint64_t>> sizes = SizesOf(*array);
  if (!sizes.has_value()) {
    return Malformed(suffix, "must be a number, or one for each layer");
  }
  if (sizes->size() != static_cast<uint64_t>(*layers_)) {
    return Malformed(
        suffix, absl::StrCat("has ", sizes->size(), " elements for ", *layers_,
                             " layers"));
  }
  if (std::count(sizes->begin(), sizes->end(), sizes->front()) == *layers_) {
    return sizes->front();
  }
  return UnsupportedModel(
      file_, absl::StrCat("offset ", file_.FindEntry(key)->offset, ": key ",
                          QuoteForError(key),
                          ": gives layers that differ, which this build does "
                          "not compute"));
}

absl::Status ConfigReader::OnlyNumber(absl::string_view suffix, double number) {
  if (!Has(suffix) || IsNumber(*file_.FindEntry(Key(suffix)), number)) {
    return absl::OkStatus();
  }
  return Unsupported(suffix);
}

absl::StatusOr<bool> ConfigReader::FlagOr(absl::string_view suffix,
                                          bool absent) {
  if (!Has(suffix)) return absent;
  return file_.GetBool(Key(suffix));
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
  const GgufEntry& entry = *file_.FindEntry(key);
  return UnsupportedModel(
      file_, absl::StrCat("offset ", entry.offset, ": key ", QuoteForError(key),
                          ": is ", DescribeValue(entry),
                          ", which asks for what this build does not compute"));
}

absl::Status ConfigReader::CheckNoUnknownKeys() const {
  for (const GgufEntry& entry : file_.entries()) {
    if (!absl::StartsWith(entry.key, prefix_)) continue;
    const absl::string_view suffix =
        absl::string_view(entry.key).substr(prefix_.size());
    if (asked_.contains(entry.key) || IsNeutral(suffix, entry)) continue;
    return Unsupported(suffix);
  }
  return absl::OkStatus();
}

absl::Status ConfigReader::Missing(absl::string_view key) const {
  return MalformedModel(file_, absl::StrCat("key '", key, "' is missing"));
}

}  // namespace tandem
