#include "engine/template/render_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"

namespace tandem {
namespace {

// What a text, list or map takes beside its bytes or items.
constexpr int64_t kNodeBytes = 128;

// Bytes of a text that an error quotes.
constexpr size_t kQuotedBytesMax = 40;
// Changes between the template's own text and contents in an output: a chat of
// 1,024 messages has some 3,000.
constexpr size_t kOutputRangesMax = size_t{1} << 18;
// Changes of a letter from which on two names are not near.
constexpr size_t kNearDistance = 3;

// Changes of one letter that make `left` into `right`.
size_t EditDistance(absl::string_view left, absl::string_view right) {
  std::vector<size_t> row(right.size() + 1);
  for (size_t j = 0; j <= right.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= left.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= right.size(); ++j) {
      const size_t changed = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[right.size()];
}

absl::Status DepthError() {
  return TemplateError(absl::StrCat("values are nested more than ",
                                    kValueDepthMax, " levels deep"));
}

}  // namespace

absl::Status TemplateError(absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonUnsupportedChatTemplate}, message);
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", CutText(text, kQuotedBytesMax), "'");
}

std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               const std::vector<absl::string_view>& names) {
  const std::string message =
      absl::StrCat("there is no ", what, " ", Quoted(name));
  if (name.size() > kQuotedBytesMax) return message;
  absl::string_view nearest;
  size_t distance_min = kNearDistance;
  for (const absl::string_view candidate : names) {
    const size_t distance = EditDistance(name, candidate);
    if (distance >= std::min(distance_min, name.size())) continue;
    distance_min = distance;
    nearest = candidate;
  }
  return nearest.empty()
             ? message
             : absl::StrCat(message, "; the nearest is '", nearest, "'");
}

RenderBudget::RenderBudget(const TemplateLimits& limits) : limits_(limits) {}

absl::Status RenderBudget::Step(int64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.steps_max) return absl::OkStatus();
  return TemplateError(absl::StrCat("the template takes more than ",
                                    limits_.steps_max, " steps"));
}

absl::Status RenderBudget::StepBytes(size_t bytes) {
  return Step(1 + static_cast<int64_t>(bytes) / kBytesPerStep);
}

absl::Status RenderBudget::StepCharacters(size_t bytes) {
  return Step(1 + static_cast<int64_t>(bytes) / kCharacterBytesPerStep);
}

absl::Status RenderBudget::StepVariables(size_t count) {
  return Step(static_cast<int64_t>(count) / kVariablesPerStep);
}

absl::Status RenderBudget::CheckDepth() {
  TANDEM_RETURN_IF_ERROR(Step());
  if (depth_ <= limits_.depth_max) return absl::OkStatus();
  return TemplateError(
      absl::StrCat("the template nests more than ", limits_.depth_max,
                   " statements, expressions, macros and printed values"));
}

absl::Status RenderBudget::CheckRoom(double bytes) const {
  if (static_cast<double>(memory_bytes_) + bytes <=
      static_cast<double>(limits_.memory_bytes_max)) {
    return absl::OkStatus();
  }
  return TemplateError(absl::StrCat("the template's values take more than ",
                                    limits_.memory_bytes_max, " bytes"));
}

absl::Status RenderBudget::CheckItems(size_t count) const {
  return CheckRoom(static_cast<double>(count) * sizeof(TemplateValue));
}

absl::Status RenderBudget::CheckOutput(size_t bytes, size_t ranges) const {
  if (ranges > kOutputRangesMax) {
    return TemplateError(absl::StrCat("the template puts out more than ",
                                      kOutputRangesMax, " pieces of contents"));
  }
  if (bytes <= static_cast<size_t>(limits_.output_bytes_max)) {
    return absl::OkStatus();
  }
  return TemplateError(absl::StrCat("the template makes a text of more than ",
                                    limits_.output_bytes_max, " bytes"));
}

absl::StatusOr<TemplateValue> RenderBudget::NewText(MarkedText text) {
  const int64_t bytes = kNodeBytes + text.memory_bytes();
  TANDEM_RETURN_IF_ERROR(StepBytes(text.size()));
  TANDEM_RETURN_IF_ERROR(CheckRoom(static_cast<double>(bytes)));
  return TemplateValue::Text(std::move(text),
                             MemoryCharge(&memory_bytes_, bytes));
}

absl::StatusOr<TemplateValue> RenderBudget::NewText(absl::string_view text) {
  return NewText(MarkedText(text, TextMark::kTemplate));
}

absl::StatusOr<TemplateValue> RenderBudget::NewSlice(const MarkedText& text,
                                                     size_t begin, size_t end) {
  TANDEM_RETURN_IF_ERROR(CheckRoom(static_cast<double>(end - begin)));
  return NewText(text.Slice(begin, end));
}

absl::StatusOr<TemplateValue> RenderBudget::NewList(
    std::vector<TemplateValue> items, TemplateValue::ListKind kind) {
  const auto count = static_cast<int64_t>(items.size());
  const auto bytes =
      kNodeBytes + count * static_cast<int64_t>(sizeof(TemplateValue));
  TANDEM_RETURN_IF_ERROR(Step(1 + count));
  TANDEM_RETURN_IF_ERROR(CheckRoom(static_cast<double>(bytes)));
  for (const TemplateValue& item : items) {
    if (item.depth() >= kValueDepthMax) return DepthError();
  }
  return TemplateValue::List(kind, std::move(items),
                             MemoryCharge(&memory_bytes_, bytes));
}

absl::StatusOr<TemplateValue> RenderBudget::NewRange(const RangeBounds& bounds,
                                                     size_t count) {
  TANDEM_RETURN_IF_ERROR(CheckItems(count));
  std::vector<TemplateValue> items;
  items.reserve(count);
  int64_t number = bounds.start;
  for (size_t i = 0; i < count; ++i) {
    items.push_back(TemplateValue::Integer(number));
    // What is beyond the last one is not used.
    if (__builtin_add_overflow(number, bounds.step, &number)) break;
  }
  const auto bytes =
      kNodeBytes + static_cast<int64_t>(count * sizeof(TemplateValue));
  TANDEM_RETURN_IF_ERROR(Step(1 + static_cast<int64_t>(count)));
  return TemplateValue::Range(bounds, std::move(items),
                              MemoryCharge(&memory_bytes_, bytes));
}

absl::StatusOr<TemplateValue> RenderBudget::NewMap(
    std::vector<TemplateValue::Entry> entries) {
  const auto count = static_cast<int64_t>(entries.size());
  // Twice for the index of the keys.
  const auto bytes =
      kNodeBytes +
      2 * count * static_cast<int64_t>(sizeof(TemplateValue::Entry));
  TANDEM_RETURN_IF_ERROR(Step(1 + count));
  TANDEM_RETURN_IF_ERROR(CheckRoom(static_cast<double>(bytes)));
  for (const auto& [key, item] : entries) {
    if (key.depth() >= kValueDepthMax || item.depth() >= kValueDepthMax) {
      return DepthError();
    }
    // Keys go into an index.
    if (key.is_text()) {
      TANDEM_RETURN_IF_ERROR(StepBytes(key.text().size()));
    }
  }
  return TemplateValue::Map(std::move(entries),
                            MemoryCharge(&memory_bytes_, bytes));
}

absl::Status RenderBudget::TakeObject(size_t bytes) {
  TANDEM_RETURN_IF_ERROR(Step());
  TANDEM_RETURN_IF_ERROR(CheckRoom(static_cast<double>(bytes)));
  memory_bytes_ += static_cast<int64_t>(bytes);
  return absl::OkStatus();
}

}  // namespace tandem
