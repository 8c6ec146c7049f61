// Methods of lists and maps, and the filters of all that can be iterated over
// (builtins.h). Filters that Jinja computes item by item give a generator here
// too.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "engine/template/builtins.h"
#include "engine/template/containers.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Call = BuiltinCall;
using ListKind = Value::ListKind;
using Values = std::vector<Value>;

// Parts of an attribute such as "a.b.c".
constexpr size_t kAttributePartsMax = 16;

Value NewGenerator(Values items, const Call& call) {
  return call.budget.NewList(std::move(items), ListKind::kGenerator);
}

Values ItemsOf(const Call& call) { return ItemsOf(call.value, call.budget); }

// The methods of lists and maps.

Value CountItem(const Call& call) {
  int64_t count = 0;
  for (const Value& item : call.value.items()) {
    count += Equals(item, *call.bound[0], call.budget) ? 1 : 0;
  }
  return Value::Integer(count);
}

Value IndexOfItem(const Call& call) {
  int64_t index = 0;
  for (const Value& item : call.value.items()) {
    if (Equals(item, *call.bound[0], call.budget)) return Value::Integer(index);
    ++index;
  }
  return call.budget.Fail("the item is not in the list");
}

Value Copy(const Call& call) { return call.value; }

Value Get(const Call& call) {
  if (!NeedKey(*call.bound[0], call.budget)) return {};
  const Value* found = FindKey(call.value, *call.bound[0], call.budget);
  if (found != nullptr) return *found;
  return call.Has(1) ? *call.bound[1] : Value::None();
}

// The keys, values or pairs of a map.
Values PartsOf(const Value& map, ListKind kind, RenderBudget& budget) {
  if (!budget.CheckItems(map.entries().size())) return {};
  Values parts;
  for (const auto& [key, item] : map.entries()) {
    parts.push_back(kind == ListKind::kKeys ? key : item);
    if (kind == ListKind::kItems) {
      parts.back() = budget.NewList({key, item}, ListKind::kTuple);
    }
  }
  return parts;
}

template <ListKind kind>
Value View(const Call& call) {
  return call.budget.NewList(PartsOf(call.value, kind, call.budget), kind);
}

// Filters for the value of an attribute, and order.

// The keys that `attribute` names, a text with points or a number; none where
// it is null.
Values PathOf(const Value* attribute, RenderBudget& budget) {
  Values path;
  if (attribute == nullptr) return path;
  if (!attribute->is_text()) {
    return {Value::Integer(NeedWhole(*attribute, budget))};
  }
  const std::string& name = attribute->text().bytes();
  budget.StepBytes(name.size());
  const std::vector<absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits('.', kAttributePartsMax));
  if (parts.size() > kAttributePartsMax) {
    return budget.Fail("the attribute has too many parts");
  }
  for (const absl::string_view part : parts) {
    int64_t index = 0;
    const bool is_index =
        !part.empty() && part[0] != '+' && absl::SimpleAtoi(part, &index);
    path.push_back(is_index ? Value::Integer(index) : budget.NewText(part));
  }
  return path;
}

// item[path[0]][path[1]]...; a missing one is `absent` if that is given.
Value AttributeOf(const Value& item, const Values& path, const Value* absent,
                  RenderBudget& budget) {
  if (!budget.ok()) return {};
  Value value = item;
  for (const Value& key : path) {
    value = LookUp(value, key, budget);
    if (value.is_undefined() && absent != nullptr) value = *absent;
  }
  return value;
}

struct KeyOptions {
  const Value* attribute = nullptr;  // null: the item itself
  const Value* absent = nullptr;     // for items without it
  bool is_case_sensitive = false;
};

// What items are ordered by: texts in lower case, unless their case counts.
Values KeysOf(const Values& items, const KeyOptions& options,
              RenderBudget& budget) {
  const Builtin& lower = *FindBuiltin(BuiltinKind::kFilter, "lower");
  const Values path = PathOf(options.attribute, budget);
  Values keys;
  for (const Value& item : items) {
    Value key = AttributeOf(item, path, options.absent, budget);
    if (!options.is_case_sensitive && key.is_text()) {
      key = CallBuiltin(lower, key, {}, budget);
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

// The same by what the call says about attribute and case.
Values KeysAt(const Call& call, const Values& items, size_t attribute_at,
              size_t case_at) {
  return KeysOf(items,
                {.attribute = call.bound[attribute_at],
                 .is_case_sensitive = call.IsTrueAt(case_at)},
                call.budget);
}

enum class Order { kRising, kFalling };

Order OrderOf(bool is_reversed) {
  return is_reversed ? Order::kFalling : Order::kRising;
}

bool ComesBefore(const Value& left, const Value& right, Order order,
                 RenderBudget& budget) {
  return order == Order::kRising ? Less(left, right, budget)
                                 : Less(right, left, budget);
}

// The places of `keys` in order; equal ones stay as they are. Merges runs, so
// that an error of a comparison can end it.
std::vector<size_t> SortedPlaces(const Values& keys, Order order,
                                 RenderBudget& budget) {
  std::vector<size_t> places(keys.size());
  for (size_t i = 0; i < places.size(); ++i) places[i] = i;
  std::vector<size_t> merged(keys.size());
  for (size_t run = 1; run < keys.size(); run *= 2) {
    for (size_t begin = 0; begin < keys.size(); begin += 2 * run) {
      const size_t middle = std::min(begin + run, keys.size());
      const size_t end = std::min(begin + 2 * run, keys.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool takes_right = left == middle;
        if (left < middle && right < end) {
          takes_right = ComesBefore(keys[places[right]], keys[places[left]],
                                    order, budget);
        }
        merged[out] = places[takes_right ? right++ : left++];
      }
    }
    std::swap(places, merged);
  }
  return places;
}

Value SortedBy(const Values& items, const Values& keys, Order order,
               RenderBudget& budget) {
  const std::vector<size_t> places = SortedPlaces(keys, order, budget);
  Values sorted;
  for (const size_t place : places) sorted.push_back(items[place]);
  return budget.NewList(std::move(sorted));
}

Value Sort(const Call& call) {
  const Values items = ItemsOf(call);
  const Values keys = KeysAt(call, items, 2, 1);
  return SortedBy(items, keys, OrderOf(call.IsTrueAt(0)), call.budget);
}

Value DictSort(const Call& call) {
  if (!call.value.is_map()) return call.budget.Fail("needs a map");
  const Value by = call.Has(1) ? *call.bound[1] : Value::Text("key");
  const bool is_by_key = by.is_text() && by.text().bytes() == "key";
  if (!is_by_key && !(by.is_text() && by.text().bytes() == "value")) {
    return call.budget.Fail("'by' must be 'key' or 'value'");
  }
  const ListKind part = is_by_key ? ListKind::kKeys : ListKind::kValues;
  const Values pairs = PartsOf(call.value, ListKind::kItems, call.budget);
  const Values sorted_by = PartsOf(call.value, part, call.budget);
  const Values keys =
      KeysOf(sorted_by, {.is_case_sensitive = call.IsTrueAt(0)}, call.budget);
  return SortedBy(pairs, keys, OrderOf(call.IsTrueAt(2)), call.budget);
}

// The first in `order`.
template <Order order>
Value Extreme(const Call& call) {
  const Values items = ItemsOf(call);
  if (items.empty()) return Value::Undefined("the list is empty");
  const Values keys = KeysAt(call, items, 1, 0);
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    if (ComesBefore(keys[i], keys[best], order, call.budget)) best = i;
  }
  return items[best];
}

Value Unique(const Call& call) {
  const Values items = ItemsOf(call);
  const Values keys = KeysAt(call, items, 1, 0);
  MapBuilder seen(&call.budget);
  Values unique;
  for (size_t i = 0; i < items.size(); ++i) {
    if (seen.Find(keys[i]) != nullptr) continue;
    seen.Set(keys[i], Value::None());
    unique.push_back(items[i]);
  }
  return NewGenerator(std::move(unique), call);
}

Value GroupBy(const Call& call) {
  RenderBudget& budget = call.budget;
  const Values items = ItemsOf(call);
  KeyOptions options = {.attribute = call.bound[0],
                        .absent = call.bound[1],
                        .is_case_sensitive = call.IsTrueAt(2)};
  const Values keys = KeysOf(items, options, budget);
  // A group goes by the first item's own value, not by the folded one.
  options.is_case_sensitive = true;
  const Values names = KeysOf(items, options, budget);
  const std::vector<size_t> places = SortedPlaces(keys, Order::kRising, budget);
  Values groups;
  // After an error no key equals any.
  for (size_t i = 0; i < places.size() && budget.ok();) {
    const size_t first = places[i];
    Values group;
    for (; i < places.size(); ++i) {
      if (!Equals(keys[first], keys[places[i]], budget)) break;
      group.push_back(items[places[i]]);
    }
    const Value list = budget.NewList(std::move(group));
    groups.push_back(budget.NewList({.kind = ListKind::kTuple,
                                     .items = {names[first], list},
                                     .is_group = true}));
  }
  return budget.NewList(std::move(groups));
}

// Other filters.

template <bool is_last>
Value End(const Call& call) {
  const Value& value = call.value;
  const absl::string_view place = is_last ? "last" : "first";
  if (value.is_text()) {
    const auto character =
        ItemAt(value, Value::Integer(is_last ? -1 : 0), call.budget);
    if (character.has_value()) return *character;
    return Value::Undefined(
        absl::StrCat("an empty text has no ", place, " character"));
  }
  const bool is_generator = value.is_list(ListKind::kGenerator);
  if (is_last && is_generator) {
    return call.budget.Fail("a generator has no last item; |list makes a list");
  }
  if (value.is_list() && !value.items().empty()) {
    if (is_generator) return value.list().items[value.list().taken++];
    return is_last ? value.items().back() : value.items().front();
  }
  const Values items = ItemsOf(call);
  if (!items.empty()) return is_last ? items.back() : items.front();
  return Value::Undefined(
      absl::StrCat("an empty list has no ", place, " item"));
}

Value Length(const Call& call) { return LengthOf(call.value, call.budget); }

Value List(const Call& call) { return call.budget.NewList(ItemsOf(call)); }

Value Reverse(const Call& call) {
  if (call.value.is_text()) {
    return SliceOf(call.value,
                   {.start = Value::None(),
                    .stop = Value::None(),
                    .step = Value::Integer(-1)},
                   call.budget);
  }
  const bool is_generator = call.value.is_list(ListKind::kGenerator);
  Values items = ItemsOf(call);
  std::reverse(items.begin(), items.end());
  return call.budget.NewList(
      std::move(items), is_generator ? ListKind::kList : ListKind::kGenerator);
}

Value Join(const Call& call) {
  RenderBudget& budget = call.budget;
  MarkedText separator;
  if (call.Has(0)) separator = TextOf(*call.bound[0], budget);
  Values items = ItemsOf(call);
  const Values path = PathOf(call.bound[1], budget);
  for (Value& item : items) {
    item = AttributeOf(item, path, nullptr, budget);
    if (!item.is_text()) item = budget.NewText(TextOf(item, budget));
  }
  return JoinTexts(separator, items, budget);
}

Value Sum(const Call& call) {
  const Values items = ItemsOf(call);
  Value sum = call.Has(1) ? *call.bound[1] : Value::Integer(0);
  if (sum.is_text()) return call.budget.Fail("texts are joined, not summed");
  const Values path = PathOf(call.bound[0], call.budget);
  for (const Value& item : items) {
    const Value summand = AttributeOf(item, path, nullptr, call.budget);
    sum = Calculate(BinaryOperator::kAdd, sum, summand, call.budget);
  }
  return sum;
}

// The rows of items up to each of `ends` as a generator of lists. A row of less
// than `filled` items is filled, where the call says with what.
Value Rows(const Call& call, const Values& items,
           const std::vector<size_t>& ends, size_t filled) {
  if (!call.budget.CheckItems(call.Has(1) ? filled : 0)) return {};
  Values rows;
  size_t begin = 0;
  for (const size_t end : ends) {
    Values row;
    for (size_t i = begin; i < end; ++i) row.push_back(items[i]);
    begin = end;
    if (call.Has(1) && row.size() < filled) row.resize(filled, *call.bound[1]);
    rows.push_back(call.budget.NewList(std::move(row)));
  }
  return NewGenerator(std::move(rows), call);
}

Value Batch(const Call& call) {
  const Values items = ItemsOf(call);
  const auto count =
      static_cast<size_t>(std::max<int64_t>(call.WholeAt(0, 0), 0));
  // As Jinja does it: all in one row where there is no such count, after an
  // empty one where it is 0.
  std::vector<size_t> ends;
  if (call.WholeAt(0, 0) == 0 && !items.empty()) ends.push_back(0);
  for (size_t end = 0; end < items.size(); ends.push_back(end)) {
    end += std::min(count == 0 ? items.size() : count, items.size() - end);
  }
  return Rows(call, items, ends, count);
}

Value Slice(const Call& call) {
  const Values items = ItemsOf(call);
  const int64_t given = call.WholeAt(0, 0);
  if (given == 0) return call.budget.Fail("the number of slices is 0");
  const auto count = static_cast<size_t>(std::max<int64_t>(given, 0));
  if (!call.budget.CheckItems(count)) return {};
  std::vector<size_t> ends;
  const size_t size = items.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = ends.empty() ? 0 : ends.back();
    ends.push_back(begin + size / count + (i < size % count ? 1 : 0));
  }
  return Rows(call, items, ends, count == 0 ? 0 : size / count + 1);
}

Value Items(const Call& call) {
  if (call.value.is_undefined()) return NewGenerator({}, call);
  if (!call.value.is_map()) return call.budget.Fail("needs a map");
  return NewGenerator(PartsOf(call.value, ListKind::kItems, call.budget), call);
}

// Filters that take the name of another one, or of a test.

// The arguments from `begin` on.
CallArguments Rest(const CallArguments& arguments, size_t begin) {
  return {.positional = {arguments.positional.begin() +
                             static_cast<std::ptrdiff_t>(begin),
                         arguments.positional.end()},
          .named = arguments.named};
}

// The filter or test that argument `place` names; null after an error.
const Builtin* NamedAt(const Call& call, size_t place, BuiltinKind kind) {
  const Value& name = call.arguments.positional[place];
  if (!name.is_text()) return call.budget.Fail("needs a name");
  const std::string& text = name.text().bytes();
  if (const Builtin* found = FindBuiltin(kind, text)) return found;
  return call.budget.Fail(NoBuiltinMessage(kind, text));
}

Value Map(const Call& call) {
  const CallArguments& arguments = call.arguments;
  RenderBudget& budget = call.budget;
  Values items = ItemsOf(call);
  if (arguments.positional.empty()) {
    const auto bound =
        BindArguments(arguments, {"attribute", "default"}, 1, budget);
    if (bound.empty()) return {};
    const Values path = PathOf(bound[0], budget);
    for (Value& item : items) {
      item = AttributeOf(item, path, bound[1], budget);
    }
    return NewGenerator(std::move(items), call);
  }
  const Builtin* const filter = NamedAt(call, 0, BuiltinKind::kFilter);
  if (filter == nullptr) return {};
  // It would recurse as deep as there are arguments.
  if (filter->function == &Map) {
    return call.budget.Fail("map can not be given to map");
  }
  const CallArguments rest = Rest(arguments, 1);
  for (Value& item : items) {
    budget.Step();
    if (!budget.Check()) return {};
    item = CallBuiltin(*filter, item, rest, budget);
  }
  return NewGenerator(std::move(items), call);
}

// select, reject and their forms for an attribute.
template <bool is_selecting, bool has_attribute>
Value Select(const Call& call) {
  const CallArguments& arguments = call.arguments;
  const Values items = ItemsOf(call);
  const size_t test_at = has_attribute ? 1 : 0;
  if (has_attribute && arguments.positional.empty()) {
    return call.budget.Fail("needs an attribute");
  }
  const Builtin* test = nullptr;
  CallArguments rest;
  if (arguments.positional.size() > test_at) {
    test = NamedAt(call, test_at, BuiltinKind::kTest);
    if (test == nullptr) return {};
    rest = Rest(arguments, test_at + 1);
  }
  const Values path =
      PathOf(has_attribute ? &arguments.positional[0] : nullptr, call.budget);
  Values selected;
  for (const Value& item : items) {
    call.budget.Step();
    if (!call.budget.Check()) return {};
    Value tested = AttributeOf(item, path, nullptr, call.budget);
    if (test != nullptr) tested = CallBuiltin(*test, tested, rest, call.budget);
    if (IsTrue(tested) == is_selecting) selected.push_back(item);
  }
  return NewGenerator(std::move(selected), call);
}

constexpr Builtin kListMethods[] = {
    {"copy", {}, 0, &Copy},
    {"count", {"/item"}, 1, &CountItem},
    {"index", {"/item"}, 1, &IndexOfItem},
};

constexpr Builtin kMapMethods[] = {
    {"copy", {}, 0, &Copy},
    {"get", {"/key", "/default"}, 1, &Get},
    {"items", {}, 0, &View<ListKind::kItems>},
    {"keys", {}, 0, &View<ListKind::kKeys>},
    {"values", {}, 0, &View<ListKind::kValues>},
};

constexpr Builtin kListFilters[] = {
    {"batch", {"#linecount", "?fill_with"}, 1, &Batch},
    {"count", {}, 0, &Length},
    {"dictsort", {"case_sensitive", "by", "reverse"}, 0, &DictSort},
    {"first", {}, 0, &End<false>},
    {"groupby", {"attribute", "default", "case_sensitive"}, 1, &GroupBy},
    {"items", {}, 0, &Items},
    {"join", {"d", "?attribute"}, 0, &Join},
    {"last", {}, 0, &End<true>},
    {"length", {}, 0, &Length},
    {"list", {}, 0, &List},
    {"map", {kAnyArguments}, 0, &Map},
    {"max", {"case_sensitive", "?attribute"}, 0, &Extreme<Order::kFalling>},
    {"min", {"case_sensitive", "?attribute"}, 0, &Extreme<Order::kRising>},
    {"reject", {kAnyArguments}, 0, &Select<false, false>},
    {"rejectattr", {kAnyArguments}, 0, &Select<false, true>},
    {"reverse", {}, 0, &Reverse},
    {"select", {kAnyArguments}, 0, &Select<true, false>},
    {"selectattr", {kAnyArguments}, 0, &Select<true, true>},
    {"slice", {"#slices", "?fill_with"}, 1, &Slice},
    {"sort", {"reverse", "case_sensitive", "?attribute"}, 0, &Sort},
    {"sum", {"?attribute", "start"}, 0, &Sum},
    {"unique", {"case_sensitive", "?attribute"}, 0, &Unique},
};

}  // namespace

absl::Span<const Builtin> ListMethods() { return kListMethods; }
absl::Span<const Builtin> MapMethods() { return kMapMethods; }
absl::Span<const Builtin> ListFilters() { return kListFilters; }

}  // namespace tandem
