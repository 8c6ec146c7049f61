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

using Value = TemplateValue;
using ListKind = Value::ListKind;

// The places [start, stop) by `step` of `size` items, as many as `count`.
struct SliceRange {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
  size_t count = 0;
};

SliceRange RangeOf(const SliceBounds& bounds, int64_t size) {
  SliceRange range;
  if (!bounds.step.is_none()) range.step = bounds.step.whole();
  // No step reaches further than this, and no sum overflows.
  range.step = std::clamp(range.step, -size - 1, size + 1);
  const bool is_down = range.step < 0;
  const auto place = [size, is_down](const Value& bound, int64_t absent) {
    if (bound.is_none()) return absent;
    const int64_t index = std::clamp(bound.whole(), -size - 1, size + 1);
    return std::clamp<int64_t>(index < 0 ? index + size : index,
                               is_down ? -1 : 0, is_down ? size - 1 : size);
  };
  range.start = place(bounds.start, is_down ? size - 1 : 0);
  range.stop = place(bounds.stop, is_down ? -1 : size);
  const int64_t distance = range.stop - range.start + (is_down ? 1 : -1);
  range.count = static_cast<size_t>(
      std::max<int64_t>(0, (distance + range.step) / range.step));
  return range;
}

Value SliceText(const MarkedText& text, const SliceBounds& bounds,
                RenderBudget& budget) {
  budget.StepBytes(text.size());
  const SliceRange range = RangeOf(bounds, CountCharacters(text.bytes()));
  if (range.step == 1) {
    const size_t begin = CharacterOffset(text.bytes(), range.start);
    const size_t end =
        std::max(begin, CharacterOffset(text.bytes(), range.stop));
    return budget.NewSlice(text, begin, end);
  }
  if (!budget.CheckRoom(text.size(), sizeof(size_t))) return {};
  std::vector<size_t> offsets;
  for (size_t i = 0; i < text.size(); i += CharacterBytes(text.bytes(), i)) {
    offsets.push_back(i);
  }
  offsets.push_back(text.size());
  budget.Step(range.count);
  if (!budget.Check()) return {};
  MarkedText slice;
  int64_t at = range.start;
  for (size_t i = 0; i < range.count; ++i, at += range.step) {
    const auto place = static_cast<size_t>(at);
    slice.Append(text, offsets[place], offsets[place + 1]);
  }
  return budget.NewText(std::move(slice));
}

// The places `places` of `range`, which are a range too.
Value SliceRangeValue(const RangeBounds& range, const SliceRange& places,
                      RenderBudget& budget) {
  const auto at = [&range](int64_t place, int64_t* number) {
    int64_t distance = 0;
    return !__builtin_mul_overflow(place, range.step, &distance) &&
           !__builtin_add_overflow(range.start, distance, number);
  };
  RangeBounds slice;
  if (!at(places.start, &slice.start) || !at(places.stop, &slice.stop) ||
      __builtin_mul_overflow(range.step, places.step, &slice.step)) {
    return budget.Fail("a range with numbers beyond 64 bits");
  }
  return budget.NewRange(slice, places.count);
}

}  // namespace

std::optional<Value> PartOf(const Value& value, absl::string_view name) {
  if (value.is_object()) return ObjectOf(value)->Attribute(name);
  if (value.is_list() && value.list().is_group) {
    if (name == "grouper") return value.items()[0];
    if (name == "list") return value.items()[1];
  }
  return std::nullopt;
}

std::vector<Value> ItemsOf(const Value& value, RenderBudget& budget) {
  std::vector<Value> items;
  if (value.is_list()) {
    const absl::Span<const Value> list = value.items();
    budget.Step(list.size());
    if (!budget.CheckItems(list.size())) return {};
    items.assign(list.begin(), list.end());
    if (value.is_list(ListKind::kGenerator)) {
      value.list().taken += items.size();
    }
  } else if (value.is_map()) {
    budget.Step(value.entries().size());
    if (!budget.CheckItems(value.entries().size())) return {};
    for (const auto& [key, item] : value.entries()) items.push_back(key);
  } else if (value.is_text()) {
    const MarkedText& text = value.text();
    for (size_t i = 0, end = 0; i < text.size() && budget.ok(); i = end) {
      end = i + CharacterBytes(text.bytes(), i);
      items.push_back(budget.NewSlice(text, i, end));
    }
  } else if (!value.is_undefined()) {
    return budget.Fail(KindName(value), " can not be iterated over");
  }
  return items;
}

Value LengthOf(const Value& value, RenderBudget& budget) {
  if (value.is_text()) {
    budget.StepBytes(value.text().size());
    return Value::Integer(CountCharacters(value.text().bytes()));
  }
  size_t count = 0;
  if (value.is_map()) {
    count = value.entries().size();
  } else if (value.is_list() && !value.is_list(ListKind::kGenerator)) {
    count = value.items().size();
  } else if (!value.is_undefined()) {
    return budget.Fail(KindName(value), " has no length");
  }
  return Value::Integer(static_cast<int64_t>(count));
}

bool NeedKey(const Value& key, RenderBudget& budget) {
  if (IsKey(key)) return true;
  return budget.Fail(KindName(key), " can not be a key");
}

const Value* FindKey(const Value& map, const Value& key, RenderBudget& budget) {
  budget.Step();
  if (key.is_text()) {
    budget.StepBytes(key.text().size());
    return map.Find(key.text().bytes());
  }
  for (const auto& [entry_key, value] : map.entries()) {
    if (!entry_key.is_text() && Equals(entry_key, key, budget)) return &value;
  }
  return nullptr;
}

std::optional<Value> ItemAt(const Value& value, const Value& key,
                            RenderBudget& budget) {
  if (value.is_map()) {
    if (!IsKey(key)) return std::nullopt;
    const Value* found = FindKey(value, key, budget);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  if (!key.is_whole() || !(IsIndexable(value) || value.is_text())) {
    return std::nullopt;
  }
  int64_t index = key.whole();
  if (IsIndexable(value)) {
    const auto count = static_cast<int64_t>(value.items().size());
    if (index < 0) index += count;
    if (index < 0 || index >= count) return std::nullopt;
    return value.items()[static_cast<size_t>(index)];
  }
  const MarkedText& text = value.text();
  budget.StepBytes(text.size());
  if (index < 0) index += CountCharacters(text.bytes());
  const size_t begin = CharacterOffset(text.bytes(), index);
  if (index < 0 || begin >= text.size()) return std::nullopt;
  return budget.NewSlice(text, begin,
                         begin + CharacterBytes(text.bytes(), begin));
}

Value LookUp(const Value& value, const Value& key, RenderBudget& budget) {
  if (value.is_undefined()) return FailUndefined(value, budget);
  std::optional<Value> found;
  if (key.is_text()) found = PartOf(value, key.text().bytes());
  if (!found.has_value()) found = ItemAt(value, key, budget);
  if (found.has_value()) return *std::move(found);
  std::string name = absl::StrCat("item that is ", KindName(key));
  if (key.is_text()) {
    name = Quoted(key.text().bytes());
  } else if (key.is_whole()) {
    name = absl::StrCat(key.whole());
  }
  return Value::Undefined(absl::StrCat(KindName(value), " has no ", name));
}

Value SliceOf(const Value& value, const SliceBounds& bounds,
              RenderBudget& budget) {
  if (value.is_undefined()) return FailUndefined(value, budget);
  for (const Value* bound : {&bounds.start, &bounds.stop, &bounds.step}) {
    if (!bound->is_none() && !bound->is_whole()) {
      return budget.Fail("a slice needs whole numbers");
    }
  }
  if (bounds.step.is_whole() && bounds.step.whole() == 0) {
    return budget.Fail("the step of a slice is 0");
  }
  if (value.is_text()) return SliceText(value.text(), bounds, budget);
  if (!IsIndexable(value)) {
    return budget.Fail(KindName(value), " has no slices");
  }
  const SliceRange range =
      RangeOf(bounds, static_cast<int64_t>(value.items().size()));
  if (value.is_list(ListKind::kRange)) {
    return SliceRangeValue(value.list().range, range, budget);
  }
  if (!budget.CheckItems(range.count)) return {};
  std::vector<Value> items;
  int64_t at = range.start;
  for (size_t i = 0; i < range.count; ++i, at += range.step) {
    items.push_back(value.items()[static_cast<size_t>(at)]);
  }
  return budget.NewList(std::move(items), value.list().kind);
}

Value* MapBuilder::Find(const Value& key) {
  budget_.Step();
  if (!budget_.Check()) return nullptr;
  if (key.is_text()) {
    budget_.StepBytes(key.text().size());
    const auto found = text_keys_.find(key.text().bytes());
    return found == text_keys_.end() ? nullptr
                                     : &entries_[found->second].second;
  }
  for (const size_t place : other_keys_) {
    Value::Entry& entry = entries_[place];
    if (Equals(entry.first, key, budget_)) return &entry.second;
  }
  return nullptr;
}

void MapBuilder::Set(const Value& key, Value value) {
  if (!NeedKey(key, budget_)) return;
  if (Value* found = Find(key)) {
    *found = std::move(value);
    return;
  }
  const size_t place = entries_.size();
  entries_.emplace_back(key, std::move(value));
  if (key.is_text()) {
    text_keys_.emplace(entries_.back().first.text().bytes(), place);
  } else {
    other_keys_.push_back(place);
  }
}

}  // namespace tandem
