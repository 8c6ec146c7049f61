#include "engine/template/containers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/template_object.h"

namespace tandem {
namespace {

using Kind = TemplateValue::Kind;
using ListKind = TemplateValue::ListKind;

// Bytes of a name that an error quotes.
constexpr size_t kQuotedBytesMax = 40;

// The places [start, stop) by `step` of `count` items.
struct SliceRange {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
};

SliceRange RangeOf(const SliceBounds& bounds, int64_t count) {
  SliceRange range;
  if (!bounds.step.is_none()) range.step = bounds.step.whole();
  // No step reaches further than this, and no sum overflows.
  range.step = std::clamp(range.step, -count - 1, count + 1);
  const bool is_down = range.step < 0;
  const auto place = [count, is_down](const TemplateValue& bound,
                                      int64_t absent) {
    if (bound.is_none()) return absent;
    const int64_t index = std::clamp(bound.whole(), -count - 1, count + 1);
    const int64_t from_start = index < 0 ? index + count : index;
    return is_down ? std::clamp<int64_t>(from_start, -1, count - 1)
                   : std::clamp<int64_t>(from_start, 0, count);
  };
  range.start = place(bounds.start, is_down ? count - 1 : 0);
  range.stop = place(bounds.stop, is_down ? -1 : count);
  return range;
}

absl::StatusOr<TemplateValue> SliceText(const MarkedText& text,
                                        const SliceBounds& bounds,
                                        RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  const SliceRange range = RangeOf(bounds, CountCharacters(text.bytes()));
  if (range.step == 1) {
    const size_t begin = CharacterOffset(text.bytes(), range.start);
    const size_t end =
        std::max(begin, CharacterOffset(text.bytes(), range.stop));
    return budget.NewText(text.Slice(begin, end));
  }
  TANDEM_RETURN_IF_ERROR(
      budget.CheckRoom(static_cast<double>(text.size()) * sizeof(size_t)));
  std::vector<size_t> offsets;
  for (size_t i = 0; i < text.size(); i += CharacterBytes(text.bytes(), i)) {
    offsets.push_back(i);
  }
  offsets.push_back(text.size());
  MarkedText slice;
  for (int64_t i = range.start;
       range.step < 0 ? i > range.stop : i < range.stop; i += range.step) {
    const auto place = static_cast<size_t>(i);
    TANDEM_RETURN_IF_ERROR(budget.Step());
    slice.Append(text, offsets[place], offsets[place + 1]);
  }
  return budget.NewText(std::move(slice));
}

}  // namespace

bool IsKey(const TemplateValue& value) {
  if (value.is_list(ListKind::kTuple)) {
    return std::all_of(value.items().begin(), value.items().end(), IsKey);
  }
  return !value.is_list() && !value.is_map();
}

absl::StatusOr<std::vector<TemplateValue>> ItemsOf(const TemplateValue& value,
                                                   RenderBudget& budget) {
  std::vector<TemplateValue> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      return items;
    case Kind::kList: {
      const absl::Span<const TemplateValue> list = value.items();
      TANDEM_RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(list.size())));
      items.assign(list.begin(), list.end());
      value.TakeItems(items.size());
      return items;
    }
    case Kind::kMap:
      for (const auto& [key, item] : value.entries()) {
        TANDEM_RETURN_IF_ERROR(budget.Step());
        items.push_back(key);
      }
      return items;
    case Kind::kText: {
      const MarkedText& text = value.text();
      for (size_t i = 0; i < text.size();) {
        const size_t end = i + CharacterBytes(text.bytes(), i);
        TANDEM_ASSIGN_OR_RETURN(TemplateValue character,
                                budget.NewText(text.Slice(i, end)));
        items.push_back(std::move(character));
        i = end;
      }
      return items;
    }
    default:
      return TemplateError(
          absl::StrCat(KindName(value), " can not be iterated over"));
  }
}

absl::StatusOr<TemplateValue> LengthOf(const TemplateValue& value,
                                       RenderBudget& budget) {
  const auto integer = [](size_t count) {
    return TemplateValue::Integer(static_cast<int64_t>(count));
  };
  if (value.is_undefined()) return integer(0);
  if (value.is_map()) return integer(value.entries().size());
  if (value.is_list() && !value.is_list(TemplateValue::ListKind::kGenerator)) {
    return integer(value.items().size());
  }
  if (value.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(value.text().size()));
    return TemplateValue::Integer(CountCharacters(value.text().bytes()));
  }
  return TemplateError(absl::StrCat(KindName(value), " has no length"));
}

absl::StatusOr<const TemplateValue*> FindKey(const TemplateValue& map,
                                             const TemplateValue& key,
                                             RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.Step());
  if (key.is_text()) return map.Find(key.text().bytes());
  for (const auto& [entry_key, value] : map.entries()) {
    if (entry_key.is_text()) continue;
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(entry_key, key, budget));
    if (is_equal) return &value;
  }
  return nullptr;
}

absl::StatusOr<std::optional<TemplateValue>> ItemAt(const TemplateValue& value,
                                                    const TemplateValue& key,
                                                    RenderBudget& budget) {
  if (value.is_map()) {
    if (!IsKey(key)) return std::nullopt;
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue* found,
                            FindKey(value, key, budget));
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  if (!key.is_whole()) return std::nullopt;
  if (value.is_indexable()) {
    const auto count = static_cast<int64_t>(value.items().size());
    const int64_t index = key.whole() < 0 ? key.whole() + count : key.whole();
    if (index < 0 || index >= count) return std::nullopt;
    return value.items()[static_cast<size_t>(index)];
  }
  if (!value.is_text()) return std::nullopt;
  const MarkedText& text = value.text();
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  const int64_t count = key.whole() < 0 ? CountCharacters(text.bytes()) : 0;
  const int64_t index = key.whole() + count;
  const size_t begin = CharacterOffset(text.bytes(), index);
  if (index < 0 || begin >= text.size()) return std::nullopt;
  TANDEM_ASSIGN_OR_RETURN(
      TemplateValue character,
      budget.NewText(
          text.Slice(begin, begin + CharacterBytes(text.bytes(), begin))));
  return character;
}

absl::StatusOr<TemplateValue> LookUp(const TemplateValue& value,
                                     const TemplateValue& key,
                                     RenderBudget& budget) {
  if (value.is_undefined()) return UndefinedError(value);
  std::optional<TemplateValue> found;
  if (value.is_object() && key.is_text()) {
    TANDEM_ASSIGN_OR_RETURN(found,
                            value.object()->Attribute(key.text().bytes()));
  } else {
    TANDEM_ASSIGN_OR_RETURN(found, ItemAt(value, key, budget));
  }
  if (found.has_value()) return *std::move(found);
  std::string name = absl::StrCat("item that is ", KindName(key));
  if (key.is_text()) {
    name = absl::StrCat("'", CutText(key.text().bytes(), kQuotedBytesMax), "'");
  } else if (key.is_whole()) {
    name = absl::StrCat(key.whole());
  }
  return TemplateValue::Undefined(
      absl::StrCat(KindName(value), " has no ", name));
}

absl::StatusOr<TemplateValue> SliceOf(const TemplateValue& value,
                                      const SliceBounds& bounds,
                                      RenderBudget& budget) {
  if (value.is_undefined()) return UndefinedError(value);
  for (const TemplateValue* bound :
       {&bounds.start, &bounds.stop, &bounds.step}) {
    if (!bound->is_none() && !bound->is_whole()) {
      return TemplateError("a slice needs whole numbers");
    }
  }
  if (bounds.step.is_whole() && bounds.step.whole() == 0) {
    return TemplateError("the step of a slice is 0");
  }
  if (value.is_text()) return SliceText(value.text(), bounds, budget);
  if (!value.is_indexable()) {
    return TemplateError(absl::StrCat(KindName(value), " has no slices"));
  }
  const SliceRange range =
      RangeOf(bounds, static_cast<int64_t>(value.items().size()));
  std::vector<TemplateValue> items;
  for (int64_t i = range.start;
       range.step < 0 ? i > range.stop : i < range.stop; i += range.step) {
    items.push_back(value.items()[static_cast<size_t>(i)]);
  }
  return budget.NewList(std::move(items), value.list_kind());
}

absl::StatusOr<TemplateValue*> MapBuilder::Find(const TemplateValue& key) {
  TANDEM_RETURN_IF_ERROR(budget_.Step());
  if (key.is_text()) {
    const auto found = text_keys_.find(key.text().bytes());
    return found == text_keys_.end() ? nullptr
                                     : &entries_[found->second].second;
  }
  for (const size_t place : other_keys_) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(entries_[place].first, key, budget_));
    if (is_equal) return &entries_[place].second;
  }
  return nullptr;
}

absl::Status MapBuilder::Set(const TemplateValue& key, TemplateValue value) {
  if (!IsKey(key)) {
    return TemplateError(absl::StrCat(KindName(key), " can not be a key"));
  }
  TANDEM_ASSIGN_OR_RETURN(TemplateValue * found, Find(key));
  if (found != nullptr) {
    *found = std::move(value);
    return absl::OkStatus();
  }
  if (key.is_text()) {
    TANDEM_RETURN_IF_ERROR(
        budget_.CheckRoom(static_cast<double>(key.text().size())));
    text_keys_.emplace(key.text().bytes(), entries_.size());
  } else {
    other_keys_.push_back(entries_.size());
  }
  entries_.emplace_back(key, std::move(value));
  return absl::OkStatus();
}

}  // namespace tandem
