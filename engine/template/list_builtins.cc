// Methods of lists and maps, and the filters of all that can be iterated over
// (builtins.h). Filters that Jinja computes item by item give a generator here
// too.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
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

ValueOr NewGenerator(Values items, const Call& call) {
  return call.budget.NewList(std::move(items), ListKind::kGenerator);
}

absl::StatusOr<Values> ItemsOf(const Call& call) {
  return ItemsOf(call.value, call.budget);
}

// The methods of lists and maps.

ValueOr CountItem(const Call& call) {
  int64_t count = 0;
  for (const Value& item : call.value.items()) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(item, *call.bound[0], call.budget));
    count += is_equal ? 1 : 0;
  }
  return Value::Integer(count);
}

ValueOr IndexOfItem(const Call& call) {
  int64_t index = 0;
  for (const Value& item : call.value.items()) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(item, *call.bound[0], call.budget));
    if (is_equal) return Value::Integer(index);
    ++index;
  }
  return TemplateError("the item is not in the list");
}

ValueOr Copy(const Call& call) { return call.value; }

ValueOr Get(const Call& call) {
  TANDEM_RETURN_IF_ERROR(NeedKey(*call.bound[0]));
  TANDEM_ASSIGN_OR_RETURN(const Value* found,
                          FindKey(call.value, *call.bound[0], call.budget));
  if (found != nullptr) return *found;
  return call.Has(1) ? *call.bound[1] : Value::None();
}

// The keys, values or pairs of a map.
absl::StatusOr<Values> PartsOf(const Value& map, ListKind kind,
                               RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.CheckItems(map.entries().size()));
  Values parts;
  for (const auto& [key, item] : map.entries()) {
    Value part = kind == ListKind::kKeys ? key : item;
    if (kind == ListKind::kItems) {
      TANDEM_ASSIGN_OR_RETURN(part, budget.NewPair(key, item));
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

template <ListKind kind>
ValueOr View(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(Values parts, PartsOf(call.value, kind, call.budget));
  return call.budget.NewList(std::move(parts), kind);
}

// Filters for the value of an attribute, and order.

// The keys that `attribute` names, a text with points or a number; none where
// it is null.
absl::StatusOr<Values> PathOf(const Value* attribute, RenderBudget& budget) {
  Values path;
  if (attribute == nullptr) return path;
  if (!attribute->is_text()) {
    TANDEM_ASSIGN_OR_RETURN(const int64_t index, NeedWhole(*attribute));
    path.push_back(Value::Integer(index));
    return path;
  }
  const std::string& name = attribute->text().bytes();
  budget.StepBytes(name.size());
  const std::vector<absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits('.', kAttributePartsMax));
  if (parts.size() > kAttributePartsMax) {
    return TemplateError("the attribute has too many parts");
  }
  for (const absl::string_view part : parts) {
    int64_t index = 0;
    const bool is_index =
        !part.empty() && part[0] != '+' && absl::SimpleAtoi(part, &index);
    TANDEM_ASSIGN_OR_RETURN(
        Value key, is_index ? Value::Integer(index) : budget.NewText(part));
    path.push_back(std::move(key));
  }
  return path;
}

// item[path[0]][path[1]]...; a missing one is `absent` if that is given.
ValueOr AttributeOf(const Value& item, const Values& path, const Value* absent,
                    RenderBudget& budget) {
  Value value = item;
  for (const Value& key : path) {
    TANDEM_ASSIGN_OR_RETURN(value, LookUp(value, key, budget));
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
absl::StatusOr<Values> KeysOf(const Values& items, const KeyOptions& options,
                              RenderBudget& budget) {
  const Builtin& lower = *FindFilter("lower");
  TANDEM_ASSIGN_OR_RETURN(const Values path, PathOf(options.attribute, budget));
  Values keys;
  for (const Value& item : items) {
    TANDEM_ASSIGN_OR_RETURN(Value key,
                            AttributeOf(item, path, options.absent, budget));
    if (!options.is_case_sensitive && key.is_text()) {
      TANDEM_ASSIGN_OR_RETURN(key, CallBuiltin(lower, key, {}, budget));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

// The same by what the call says about attribute and case.
absl::StatusOr<Values> KeysAt(const Call& call, const Values& items,
                              size_t attribute_at, size_t case_at) {
  return KeysOf(items,
                {.attribute = call.bound[attribute_at],
                 .is_case_sensitive = call.IsTrueAt(case_at)},
                call.budget);
}

enum class Order { kRising, kFalling };

Order OrderOf(bool is_reversed) {
  return is_reversed ? Order::kFalling : Order::kRising;
}

absl::StatusOr<bool> ComesBefore(const Value& left, const Value& right,
                                 Order order, RenderBudget& budget) {
  return order == Order::kRising ? Less(left, right, budget)
                                 : Less(right, left, budget);
}

// The places of `keys` in order; equal ones stay as they are. Merges runs, so
// that an error of a comparison can end it.
absl::StatusOr<std::vector<size_t>> SortedPlaces(const Values& keys,
                                                 Order order,
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
          TANDEM_ASSIGN_OR_RETURN(
              takes_right, ComesBefore(keys[places[right]], keys[places[left]],
                                       order, budget));
        }
        merged[out] = places[takes_right ? right++ : left++];
      }
    }
    std::swap(places, merged);
  }
  return places;
}

ValueOr SortedBy(const Values& items, const Values& keys, Order order,
                 RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<size_t> places,
                          SortedPlaces(keys, order, budget));
  Values sorted;
  for (const size_t place : places) sorted.push_back(items[place]);
  return budget.NewList(std::move(sorted));
}

ValueOr Sort(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysAt(call, items, 2, 1));
  return SortedBy(items, keys, OrderOf(call.IsTrueAt(0)), call.budget);
}

ValueOr DictSort(const Call& call) {
  if (!call.value.is_map()) return TemplateError("needs a map");
  const Value by = call.Has(1) ? *call.bound[1] : Value::Text("key");
  const bool is_by_key = by.is_text() && by.text().bytes() == "key";
  if (!is_by_key && !(by.is_text() && by.text().bytes() == "value")) {
    return TemplateError("'by' must be 'key' or 'value'");
  }
  const ListKind part = is_by_key ? ListKind::kKeys : ListKind::kValues;
  TANDEM_ASSIGN_OR_RETURN(const Values pairs,
                          PartsOf(call.value, ListKind::kItems, call.budget));
  TANDEM_ASSIGN_OR_RETURN(const Values sorted_by,
                          PartsOf(call.value, part, call.budget));
  TANDEM_ASSIGN_OR_RETURN(
      const Values keys,
      KeysOf(sorted_by, {.is_case_sensitive = call.IsTrueAt(0)}, call.budget));
  return SortedBy(pairs, keys, OrderOf(call.IsTrueAt(2)), call.budget);
}

// The first in `order`.
template <Order order>
ValueOr Extreme(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  if (items.empty()) return Value::Undefined("the list is empty");
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysAt(call, items, 1, 0));
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(
        const bool is_better,
        ComesBefore(keys[i], keys[best], order, call.budget));
    if (is_better) best = i;
  }
  return items[best];
}

ValueOr Unique(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysAt(call, items, 1, 0));
  MapBuilder seen(&call.budget);
  Values unique;
  for (size_t i = 0; i < items.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const Value* found, seen.Find(keys[i]));
    if (found != nullptr) continue;
    TANDEM_RETURN_IF_ERROR(seen.Set(keys[i], Value::None()));
    unique.push_back(items[i]);
  }
  return NewGenerator(std::move(unique), call);
}

ValueOr GroupBy(const Call& call) {
  RenderBudget& budget = call.budget;
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  KeyOptions options = {.attribute = call.bound[0],
                        .absent = call.bound[1],
                        .is_case_sensitive = call.IsTrueAt(2)};
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysOf(items, options, budget));
  // A group goes by the first item's own value, not by the folded one.
  options.is_case_sensitive = true;
  TANDEM_ASSIGN_OR_RETURN(const Values names, KeysOf(items, options, budget));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<size_t> places,
                          SortedPlaces(keys, Order::kRising, budget));
  Values groups;
  for (size_t i = 0; i < places.size();) {
    const size_t first = places[i];
    Values group;
    for (; i < places.size(); ++i) {
      TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                              Equals(keys[first], keys[places[i]], budget));
      if (!is_equal) break;
      group.push_back(items[places[i]]);
    }
    TANDEM_ASSIGN_OR_RETURN(const Value list, budget.NewList(std::move(group)));
    TANDEM_ASSIGN_OR_RETURN(Value pair,
                            budget.NewList({.kind = ListKind::kTuple,
                                            .items = {names[first], list},
                                            .is_group = true}));
    groups.push_back(std::move(pair));
  }
  return budget.NewList(std::move(groups));
}

// Other filters.

template <bool is_last>
ValueOr End(const Call& call) {
  const Value& value = call.value;
  const absl::string_view place = is_last ? "last" : "first";
  if (value.is_text()) {
    TANDEM_ASSIGN_OR_RETURN(
        const auto character,
        ItemAt(value, Value::Integer(is_last ? -1 : 0), call.budget));
    if (character.has_value()) return *character;
    return Value::Undefined(
        absl::StrCat("an empty text has no ", place, " character"));
  }
  const bool is_generator = value.is_list(ListKind::kGenerator);
  if (is_last && is_generator) {
    return TemplateError("a generator has no last item; |list makes a list");
  }
  if (value.is_list() && !value.items().empty()) {
    if (is_generator) return value.list().items[value.list().taken++];
    return is_last ? value.items().back() : value.items().front();
  }
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  if (!items.empty()) return is_last ? items.back() : items.front();
  return Value::Undefined(
      absl::StrCat("an empty list has no ", place, " item"));
}

ValueOr Length(const Call& call) { return LengthOf(call.value, call.budget); }

ValueOr List(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(call));
  return call.budget.NewList(std::move(items));
}

ValueOr Reverse(const Call& call) {
  if (call.value.is_text()) {
    return SliceOf(call.value,
                   {.start = Value::None(),
                    .stop = Value::None(),
                    .step = Value::Integer(-1)},
                   call.budget);
  }
  const bool is_generator = call.value.is_list(ListKind::kGenerator);
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(call));
  std::reverse(items.begin(), items.end());
  return call.budget.NewList(
      std::move(items), is_generator ? ListKind::kList : ListKind::kGenerator);
}

ValueOr Join(const Call& call) {
  RenderBudget& budget = call.budget;
  MarkedText separator;
  if (call.Has(0)) {
    TANDEM_ASSIGN_OR_RETURN(separator, TextOf(*call.bound[0], budget));
  }
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(call));
  TANDEM_ASSIGN_OR_RETURN(const Values path, PathOf(call.bound[1], budget));
  for (Value& item : items) {
    TANDEM_ASSIGN_OR_RETURN(item, AttributeOf(item, path, nullptr, budget));
    if (item.is_text()) continue;
    TANDEM_ASSIGN_OR_RETURN(MarkedText text, TextOf(item, budget));
    TANDEM_ASSIGN_OR_RETURN(item, budget.NewText(std::move(text)));
  }
  return JoinTexts(separator, items, budget);
}

ValueOr Sum(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  Value sum = call.Has(1) ? *call.bound[1] : Value::Integer(0);
  if (sum.is_text()) return TemplateError("texts are joined, not summed");
  TANDEM_ASSIGN_OR_RETURN(const Values path,
                          PathOf(call.bound[0], call.budget));
  for (const Value& item : items) {
    TANDEM_ASSIGN_OR_RETURN(const Value summand,
                            AttributeOf(item, path, nullptr, call.budget));
    TANDEM_ASSIGN_OR_RETURN(
        sum, Calculate(BinaryOperator::kAdd, sum, summand, call.budget));
  }
  return sum;
}

// The rows of items up to each of `ends` as a generator of lists. A row of less
// than `filled` items is filled, where the call says with what.
ValueOr Rows(const Call& call, const Values& items,
             const std::vector<size_t>& ends, size_t filled) {
  TANDEM_RETURN_IF_ERROR(call.budget.CheckItems(call.Has(1) ? filled : 0));
  Values rows;
  size_t begin = 0;
  for (const size_t end : ends) {
    Values row;
    for (size_t i = begin; i < end; ++i) row.push_back(items[i]);
    begin = end;
    if (call.Has(1) && row.size() < filled) row.resize(filled, *call.bound[1]);
    TANDEM_ASSIGN_OR_RETURN(Value list, call.budget.NewList(std::move(row)));
    rows.push_back(std::move(list));
  }
  return NewGenerator(std::move(rows), call);
}

ValueOr Batch(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
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

ValueOr Slice(const Call& call) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  const int64_t given = call.WholeAt(0, 0);
  if (given == 0) return TemplateError("the number of slices is 0");
  const auto count = static_cast<size_t>(std::max<int64_t>(given, 0));
  TANDEM_RETURN_IF_ERROR(call.budget.CheckItems(count));
  std::vector<size_t> ends;
  const size_t size = items.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = ends.empty() ? 0 : ends.back();
    ends.push_back(begin + size / count + (i < size % count ? 1 : 0));
  }
  return Rows(call, items, ends, count == 0 ? 0 : size / count + 1);
}

ValueOr Items(const Call& call) {
  if (call.value.is_undefined()) return NewGenerator({}, call);
  if (!call.value.is_map()) return TemplateError("needs a map");
  TANDEM_ASSIGN_OR_RETURN(Values pairs,
                          PartsOf(call.value, ListKind::kItems, call.budget));
  return NewGenerator(std::move(pairs), call);
}

// Filters that take the name of another one, or of a test.

// The arguments from `begin` on.
CallArguments Rest(const CallArguments& arguments, size_t begin) {
  return {.positional = {arguments.positional.begin() +
                             static_cast<std::ptrdiff_t>(begin),
                         arguments.positional.end()},
          .named = arguments.named};
}

absl::StatusOr<std::string> NameAt(const CallArguments& arguments,
                                   size_t place) {
  if (place < arguments.positional.size() &&
      arguments.positional[place].is_text()) {
    return arguments.positional[place].text().bytes();
  }
  return TemplateError("needs a name");
}

ValueOr Map(const Call& call) {
  const CallArguments& arguments = call.arguments;
  RenderBudget& budget = call.budget;
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(call));
  if (arguments.positional.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        const auto bound,
        BindArguments(arguments, {"attribute", "default"}, 1));
    TANDEM_ASSIGN_OR_RETURN(const Values path, PathOf(bound[0], budget));
    for (Value& item : items) {
      TANDEM_ASSIGN_OR_RETURN(item, AttributeOf(item, path, bound[1], budget));
    }
    return NewGenerator(std::move(items), call);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string name, NameAt(arguments, 0));
  const Builtin* const filter = FindFilter(name);
  if (filter == nullptr) {
    return TemplateError(UnknownNameMessage("filter", name, FilterNames()));
  }
  // It would recurse as deep as there are arguments.
  if (filter->function == &Map) {
    return TemplateError("map can not be given to map");
  }
  const CallArguments rest = Rest(arguments, 1);
  for (Value& item : items) {
    budget.Step();
    TANDEM_RETURN_IF_ERROR(budget.Check());
    TANDEM_ASSIGN_OR_RETURN(item, CallBuiltin(*filter, item, rest, budget));
  }
  return NewGenerator(std::move(items), call);
}

// select, reject and their forms for an attribute.
template <bool is_selecting, bool has_attribute>
ValueOr Select(const Call& call) {
  const CallArguments& arguments = call.arguments;
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(call));
  const size_t test_at = has_attribute ? 1 : 0;
  if (has_attribute && arguments.positional.empty()) {
    return TemplateError("needs an attribute");
  }
  const Builtin* test = nullptr;
  CallArguments rest;
  if (arguments.positional.size() > test_at) {
    TANDEM_ASSIGN_OR_RETURN(const std::string name, NameAt(arguments, test_at));
    test = FindTest(name);
    if (test == nullptr) {
      return TemplateError(UnknownNameMessage("test", name, TestNames()));
    }
    rest = Rest(arguments, test_at + 1);
  }
  TANDEM_ASSIGN_OR_RETURN(
      const Values path,
      PathOf(has_attribute ? &arguments.positional[0] : nullptr, call.budget));
  Values selected;
  for (const Value& item : items) {
    call.budget.Step();
    TANDEM_RETURN_IF_ERROR(call.budget.Check());
    TANDEM_ASSIGN_OR_RETURN(Value tested,
                            AttributeOf(item, path, nullptr, call.budget));
    if (test != nullptr) {
      TANDEM_ASSIGN_OR_RETURN(tested,
                              CallBuiltin(*test, tested, rest, call.budget));
    }
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
