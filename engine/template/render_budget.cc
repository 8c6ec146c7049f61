#include "engine/template/render_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/template/characters.h"
#include "engine/template/template_object.h"

namespace tandem {
namespace {

using Value = TemplateValue;

// What a text, list or map takes beside its bytes or items.
constexpr size_t kNodeBytes = 128;

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

RenderBudget::Nothing FailForDepth(RenderBudget& budget) {
  return budget.Fail("values are nested more than ", kValueDepthMax,
                     " levels deep");
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

RenderBudget::~RenderBudget() = default;

RenderBudget::Nothing RenderBudget::Fail(const absl::Status& error) {
  error_.Update(error);
  return {};
}

bool RenderBudget::Check() {
  if (steps_ <= limits_.steps_max) return ok();
  return Fail("the template takes more than ", limits_.steps_max, " steps");
}

bool RenderBudget::CheckDepth() {
  Step();
  if (depth_ <= limits_.depth_max) return Check();
  return Fail("the template nests more than ", limits_.depth_max,
              " statements, expressions, macros and printed values");
}

bool RenderBudget::CheckRoom(size_t count, size_t bytes_each) {
  // Products of sizes may be beyond 64 bits.
  if (static_cast<double>(count) * static_cast<double>(bytes_each) +
          static_cast<double>(memory_bytes_) <=
      static_cast<double>(limits_.memory_bytes_max)) {
    return Check();
  }
  return Fail("the template's values take more than ", limits_.memory_bytes_max,
              " bytes");
}

bool RenderBudget::CheckItems(size_t count) {
  return CheckRoom(count, sizeof(Value));
}

bool RenderBudget::CheckOutput(size_t bytes, size_t ranges) {
  if (ranges > kOutputRangesMax) {
    return Fail("the template puts out more than ", kOutputRangesMax,
                " pieces of contents");
  }
  if (bytes <= static_cast<size_t>(limits_.output_bytes_max)) return Check();
  return Fail("the template makes a text of more than ",
              limits_.output_bytes_max, " bytes");
}

bool RenderBudget::Append(const MarkedText& more, MarkedText* text) {
  if (!CheckRoom(text->memory_bytes() + more.memory_bytes())) return false;
  text->Append(more);
  return true;
}

Value RenderBudget::NewText(MarkedText text) {
  const size_t bytes = kNodeBytes + text.memory_bytes();
  StepBytes(text.size());
  if (!CheckRoom(bytes)) return {};
  return NewValue(Value::TextNode{.text = std::move(text),
                                  .charge = {&memory_bytes_, bytes}});
}

Value RenderBudget::NewText(absl::string_view text) {
  return NewText(MarkedText(text, TextMark::kTemplate));
}

Value RenderBudget::NewSlice(const MarkedText& text, size_t begin, size_t end) {
  if (!CheckRoom(end - begin)) return {};
  return NewText(text.Slice(begin, end));
}

Value RenderBudget::NewList(std::vector<Value> items, Value::ListKind kind) {
  return NewList({.kind = kind, .items = std::move(items)});
}

Value RenderBudget::NewList(Value::ListNode list) {
  const size_t bytes = kNodeBytes + list.items.size() * sizeof(Value);
  Step(1 + list.items.size());
  if (!CheckRoom(bytes)) return {};
  for (const Value& item : list.items) {
    if (DepthOf(item) >= kValueDepthMax) return FailForDepth(*this);
  }
  return NewValue(Value::ListNode{.kind = list.kind,
                                  .items = std::move(list.items),
                                  .charge = {&memory_bytes_, bytes},
                                  .range = list.range,
                                  .is_group = list.is_group});
}

Value RenderBudget::NewRange(const RangeBounds& bounds, size_t count) {
  if (!CheckItems(count)) return {};
  std::vector<Value> items;
  items.reserve(count);
  int64_t number = bounds.start;
  for (size_t i = 0; i < count; ++i) {
    items.push_back(Value::Integer(number));
    // What is beyond the last one is not used.
    if (__builtin_add_overflow(number, bounds.step, &number)) break;
  }
  return NewList({.kind = Value::ListKind::kRange,
                  .items = std::move(items),
                  .range = bounds});
}

Value RenderBudget::NewMap(std::vector<Value::Entry> entries) {
  // Twice for the index of the keys.
  const size_t bytes = kNodeBytes + 2 * entries.size() * sizeof(Value::Entry);
  Step(1 + entries.size());
  if (!CheckRoom(bytes)) return {};
  for (const auto& [key, item] : entries) {
    if (DepthOf(key) >= kValueDepthMax || DepthOf(item) >= kValueDepthMax) {
      return FailForDepth(*this);
    }
    // Keys go into an index.
    if (key.is_text()) StepBytes(key.text().size());
  }
  return NewValue(Value::MapNode{.entries = std::move(entries),
                                 .charge = {&memory_bytes_, bytes}});
}

Value RenderBudget::NewObject(std::unique_ptr<TemplateObject> object,
                              size_t bytes) {
  if (!TakeForever(bytes + sizeof(object))) return {};
  objects_.push_back(std::move(object));
  return Value(objects_.back().get());
}

bool RenderBudget::TakeForever(size_t bytes) {
  Step();
  if (!CheckRoom(bytes)) return false;
  memory_bytes_ += bytes;
  return true;
}

}  // namespace tandem
