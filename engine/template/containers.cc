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
    return budget.NewSlice(text, begin, end);
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

// The places `places` of `range`, which are a range too.
absl::StatusOr<TemplateValue> SliceRangeValue(const RangeBounds& range,
                                              const SliceRange& places,
                                              size_t count,
                                              RenderBudget& budget) {
  const auto at = [&range](int64_t place, int64_t* number) {
    int64_t distance = 0;
    return !__builtin_mul_overflow(place, range.step, &distance) &&
           !__builtin_add_overflow(range.start, distance, number);
  };
  RangeBounds slice;
  if (!at(places.start, &slice.start) || !at(places.stop, &slice.stop) ||
      __builtin_mul_overflow(range.step, places.step, &slice.step)) {
    return TemplateError("a range with numbers beyond 64 bits");
  }
  return budget.NewRange(slice, count);
}

}  // namespace

std::optional<TemplateValue> GroupPart(const TemplateValue& group,
                                       absl::string_view name) {
  if (name == "grouper") return group.items()[0];
  if (name == "list") return group.items()[1];
  return std::nullopt;
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
      TANDEM_RETURN_IF_ERROR(budget.CheckItems(list.size()));
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
  if (key.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(key.text().size()));
    return map.Find(key.text().bytes());
  }
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
    if (!key.is_key()) return std::nullopt;
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
  if (value.is_group() && key.is_text()) {
    found = GroupPart(value, key.text().bytes());
  } else if (value.is_object() && key.is_text()) {
    TANDEM_ASSIGN_OR_RETURN(found,
                            value.object()->Attribute(key.text().bytes()));
  } else {
    TANDEM_ASSIGN_OR_RETURN(found, ItemAt(value, key, budget));
  }
  if (found.has_value()) return *std::move(found);
  std::string name = absl::StrCat("item that is ", KindName(key));
  if (key.is_text()) {
    name = Quoted(key.text().bytes());
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
  const int64_t distance = range.stop - range.start;
  const int64_t count = std::max<int64_t>(
      0, (distance + range.step + (range.step < 0 ? 1 : -1)) / range.step);
  if (value.is_list(ListKind::kRange)) {
    return SliceRangeValue(value.range(), range, static_cast<size_t>(count),
                           budget);
  }
  TANDEM_RETURN_IF_ERROR(budget.CheckItems(static_cast<size_t>(count)));
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
    TANDEM_RETURN_IF_ERROR(budget_.StepBytes(key.text().size()));
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
  if (!key.is_key()) {
    return TemplateError(absl::StrCat(KindName(key), " can not be a key"));
  }
  TANDEM_ASSIGN_OR_RETURN(TemplateValue * found, Find(key));
  if (found != nullptr) {
    *found = std::move(value);
    return absl::OkStatus();
  }
  const size_t place = entries_.size();
  entries_.emplace_back(key, std::move(value));
  if (key.is_text()) {
    text_keys_.emplace(entries_.back().first.text().bytes(), place);
  } else {
    other_keys_.push_back(place);
  }
  return absl::OkStatus();
}

}  // namespace tandem
