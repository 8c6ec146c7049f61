#include "engine/template/list_filters.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/template/containers.h"
#include "engine/template/operators.h"
#include "engine/template/text_methods.h"
#include "engine/template/value_tests.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using ListKind = TemplateValue::ListKind;
using Result = absl::StatusOr<TemplateValue>;
using Values = std::vector<TemplateValue>;

// Parts of an attribute such as "a.b.c".
constexpr size_t kAttributePartsMax = 16;

bool IsGiven(const TemplateValue* value) {
  return value != nullptr && !value->is_none();
}

Result Generator(Values items, RenderBudget& budget) {
  return budget.NewList(std::move(items), ListKind::kGenerator);
}

// The keys that `attribute` names, a text with points or a number.
absl::StatusOr<Values> ParseAttribute(const TemplateValue& attribute,
                                      RenderBudget& budget) {
  Values path;
  if (!attribute.is_text()) {
    TANDEM_ASSIGN_OR_RETURN(const int64_t index, NeedWhole(attribute));
    path.push_back(TemplateValue::Integer(index));
    return path;
  }
  const std::string& name = attribute.text().bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(name.size()));
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
        TemplateValue key,
        is_index ? TemplateValue::Integer(index) : budget.NewText(part));
    path.push_back(std::move(key));
  }
  return path;
}

// item[path[0]][path[1]]...; a missing one is `absent` if that is given.
Result AttributeOf(const TemplateValue& item, const Values& path,
                   const TemplateValue* absent, RenderBudget& budget) {
  TemplateValue value = item;
  for (const TemplateValue& key : path) {
    TANDEM_ASSIGN_OR_RETURN(value, LookUp(value, key, budget));
    if (value.is_undefined() && absent != nullptr) value = *absent;
  }
  return value;
}

// A text in lower case, so that order does not look at case; others as they
// are.
Result Folded(const TemplateValue& value, RenderBudget& budget) {
  if (!value.is_text()) return value;
  return ByMethod("lower", value, CallArguments(), budget);
}

struct KeyOptions {
  const TemplateValue* attribute = nullptr;  // null: the item itself
  const TemplateValue* absent = nullptr;     // for items without it
  bool is_case_sensitive = false;
};

// What items are ordered by.
absl::StatusOr<Values> KeysOf(const Values& items, const KeyOptions& options,
                              RenderBudget& budget) {
  Values path;
  if (IsGiven(options.attribute)) {
    TANDEM_ASSIGN_OR_RETURN(path, ParseAttribute(*options.attribute, budget));
  }
  Values keys;
  for (const TemplateValue& item : items) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue key,
                            AttributeOf(item, path, options.absent, budget));
    if (!options.is_case_sensitive) {
      TANDEM_ASSIGN_OR_RETURN(key, Folded(key, budget));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

enum class Order { kRising, kFalling };

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
          const TemplateValue& a = keys[places[left]];
          const TemplateValue& b = keys[places[right]];
          TANDEM_ASSIGN_OR_RETURN(takes_right, order == Order::kRising
                                                   ? Less(b, a, budget)
                                                   : Less(a, b, budget));
        }
        merged[out] = places[takes_right ? right++ : left++];
      }
    }
    std::swap(places, merged);
  }
  return places;
}

Values AtPlaces(const Values& items, const std::vector<size_t>& places) {
  Values chosen;
  for (const size_t place : places) chosen.push_back(items[place]);
  return chosen;
}

Result First(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  if (value.is_list() && !value.items().empty()) {
    TemplateValue first = value.items()[0];
    value.TakeItems(1);
    return first;
  }
  if (value.is_text()) {
    TANDEM_ASSIGN_OR_RETURN(const auto first,
                            ItemAt(value, TemplateValue::Integer(0), budget));
    if (first.has_value()) return *first;
    return TemplateValue::Undefined("an empty text has no first character");
  }
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  if (!items.empty()) return items[0];
  return TemplateValue::Undefined("an empty list has no first item");
}

Result Last(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  if (value.is_list(ListKind::kGenerator)) {
    return TemplateError("a generator has no last item; |list makes a list");
  }
  if (value.is_text()) {
    TANDEM_ASSIGN_OR_RETURN(const auto last,
                            ItemAt(value, TemplateValue::Integer(-1), budget));
    if (last.has_value()) return *last;
    return TemplateValue::Undefined("an empty text has no last character");
  }
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  if (!items.empty()) return items.back();
  return TemplateValue::Undefined("an empty list has no last item");
}

Result Length(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return LengthOf(value, budget);
}

Result List(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(value, budget));
  return budget.NewList(std::move(items));
}

Result Reverse(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  if (value.is_text()) {
    return SliceOf(value,
                   {.start = TemplateValue::None(),
                    .stop = TemplateValue::None(),
                    .step = TemplateValue::Integer(-1)},
                   budget);
  }
  const bool is_generator = value.is_list(ListKind::kGenerator);
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(value, budget));
  std::reverse(items.begin(), items.end());
  return budget.NewList(std::move(items),
                        is_generator ? ListKind::kList : ListKind::kGenerator);
}

Result Join(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"d", "attribute"}, 0));
  MarkedText separator;
  if (bound[0] != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(separator, TextOf(*bound[0], budget));
  }
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(value, budget));
  Values path;
  if (IsGiven(bound[1])) {
    TANDEM_ASSIGN_OR_RETURN(path, ParseAttribute(*bound[1], budget));
  }
  for (TemplateValue& item : items) {
    TANDEM_ASSIGN_OR_RETURN(item, AttributeOf(item, path, nullptr, budget));
    if (item.is_text()) continue;
    TANDEM_ASSIGN_OR_RETURN(MarkedText text, TextOf(item, budget));
    TANDEM_ASSIGN_OR_RETURN(item, budget.NewText(std::move(text)));
  }
  return JoinTexts(separator, items, budget);
}

Result Sort(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"reverse", "case_sensitive", "attribute"}, 0));
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  const KeyOptions options = {
      .attribute = bound[2],
      .is_case_sensitive = bound[1] != nullptr && IsTrue(*bound[1])};
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysOf(items, options, budget));
  const bool is_falling = bound[0] != nullptr && IsTrue(*bound[0]);
  TANDEM_ASSIGN_OR_RETURN(
      const std::vector<size_t> places,
      SortedPlaces(keys, is_falling ? Order::kFalling : Order::kRising,
                   budget));
  return budget.NewList(AtPlaces(items, places));
}

Result DictSort(const TemplateValue& value, const CallArguments& arguments,
                RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"case_sensitive", "by", "reverse"}, 0));
  if (!value.is_map()) return TemplateError("needs a map");
  bool is_by_value = false;
  if (bound[1] != nullptr) {
    const bool is_text = bound[1]->is_text();
    is_by_value = is_text && bound[1]->text().bytes() == "value";
    if (!is_by_value && !(is_text && bound[1]->text().bytes() == "key")) {
      return TemplateError("'by' must be 'key' or 'value'");
    }
  }
  Values pairs;
  Values sorted_by;
  for (const auto& [key, item] : value.entries()) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue pair,
                            budget.NewList({key, item}, ListKind::kTuple));
    pairs.push_back(std::move(pair));
    sorted_by.push_back(is_by_value ? item : key);
  }
  const KeyOptions options = {.is_case_sensitive =
                                  bound[0] != nullptr && IsTrue(*bound[0])};
  TANDEM_ASSIGN_OR_RETURN(const Values keys,
                          KeysOf(sorted_by, options, budget));
  const bool is_falling = bound[2] != nullptr && IsTrue(*bound[2]);
  TANDEM_ASSIGN_OR_RETURN(
      const std::vector<size_t> places,
      SortedPlaces(keys, is_falling ? Order::kFalling : Order::kRising,
                   budget));
  return budget.NewList(AtPlaces(pairs, places));
}

template <Order order>
Result Extreme(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"case_sensitive", "attribute"}, 0));
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  if (items.empty()) return TemplateValue::Undefined("the list is empty");
  const KeyOptions options = {
      .attribute = bound[1],
      .is_case_sensitive = bound[0] != nullptr && IsTrue(*bound[0])};
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysOf(items, options, budget));
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_better,
                            order == Order::kRising
                                ? Less(keys[best], keys[i], budget)
                                : Less(keys[i], keys[best], budget));
    if (is_better) best = i;
  }
  return items[best];
}

Result Sum(const TemplateValue& value, const CallArguments& arguments,
           RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"attribute", "start"}, 0));
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  TemplateValue sum =
      bound[1] == nullptr ? TemplateValue::Integer(0) : *bound[1];
  if (sum.is_text()) return TemplateError("texts are joined, not summed");
  Values path;
  if (IsGiven(bound[0])) {
    TANDEM_ASSIGN_OR_RETURN(path, ParseAttribute(*bound[0], budget));
  }
  for (const TemplateValue& item : items) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue summand,
                            AttributeOf(item, path, nullptr, budget));
    TANDEM_ASSIGN_OR_RETURN(
        sum, Calculate(BinaryOperator::kAdd, sum, summand, budget));
  }
  return sum;
}

Result Unique(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"case_sensitive", "attribute"}, 0));
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  const KeyOptions options = {
      .attribute = bound[1],
      .is_case_sensitive = bound[0] != nullptr && IsTrue(*bound[0])};
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysOf(items, options, budget));
  MapBuilder seen(&budget);
  Values unique;
  for (size_t i = 0; i < items.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue* found, seen.Find(keys[i]));
    if (found != nullptr) continue;
    TANDEM_RETURN_IF_ERROR(seen.Set(keys[i], TemplateValue::None()));
    unique.push_back(items[i]);
  }
  return Generator(std::move(unique), budget);
}

// Fills `row` up to `count` items where there is something to fill it with.
void Fill(const TemplateValue* filling, size_t count, Values* row) {
  if (IsGiven(filling) && row->size() < count) row->resize(count, *filling);
}

Result Batch(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"linecount", "fill_with"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const int64_t count, NeedWhole(*bound[0]));
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  TANDEM_RETURN_IF_ERROR(
      budget.CheckRoom(static_cast<double>(count) * sizeof(TemplateValue)));
  Values rows;
  Values row;
  const auto add_row = [&rows, &row, &budget]() -> absl::Status {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue list,
                            budget.NewList(std::exchange(row, {})));
    rows.push_back(std::move(list));
    return absl::OkStatus();
  };
  for (const TemplateValue& item : items) {
    if (static_cast<int64_t>(row.size()) == count) {
      TANDEM_RETURN_IF_ERROR(add_row());
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    Fill(bound[1], count > 0 ? static_cast<size_t>(count) : 0, &row);
    TANDEM_RETURN_IF_ERROR(add_row());
  }
  return Generator(std::move(rows), budget);
}

Result Slice(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"slices", "fill_with"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const int64_t count, NeedWhole(*bound[0]));
  if (count == 0) return TemplateError("the number of slices is 0");
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  const auto size = static_cast<int64_t>(items.size());
  Values slices;
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t end = at + size / count + (i < size % count ? 1 : 0);
    Values row(items.begin() + at, items.begin() + end);
    if (i >= size % count) {
      Fill(bound[1], static_cast<size_t>(size / count + 1), &row);
    }
    TANDEM_ASSIGN_OR_RETURN(TemplateValue list, budget.NewList(std::move(row)));
    slices.push_back(std::move(list));
    at = end;
  }
  return Generator(std::move(slices), budget);
}

Result GroupBy(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"attribute", "default", "case_sensitive"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  KeyOptions options = {
      .attribute = bound[0],
      .absent = bound[1],
      .is_case_sensitive = bound[2] != nullptr && IsTrue(*bound[2])};
  TANDEM_ASSIGN_OR_RETURN(const Values keys, KeysOf(items, options, budget));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<size_t> places,
                          SortedPlaces(keys, Order::kRising, budget));
  TANDEM_ASSIGN_OR_RETURN(const Values path, ParseAttribute(*bound[0], budget));
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
    // The group goes by the first item's own value, not by the folded one.
    TANDEM_ASSIGN_OR_RETURN(TemplateValue name,
                            AttributeOf(items[first], path, bound[1], budget));
    TANDEM_ASSIGN_OR_RETURN(TemplateValue list,
                            budget.NewList(std::move(group)));
    TANDEM_ASSIGN_OR_RETURN(
        TemplateValue pair,
        budget.NewList({std::move(name), std::move(list)}, ListKind::kGroup));
    groups.push_back(std::move(pair));
  }
  return budget.NewList(std::move(groups));
}

Result Items(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  Values pairs;
  if (value.is_undefined()) return Generator(std::move(pairs), budget);
  if (!value.is_map()) return TemplateError("needs a map");
  for (const auto& [key, item] : value.entries()) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue pair,
                            budget.NewList({key, item}, ListKind::kTuple));
    pairs.push_back(std::move(pair));
  }
  return Generator(std::move(pairs), budget);
}

// The arguments from `begin` on, for a filter or test that is named by one.
CallArguments Rest(const CallArguments& arguments, size_t begin) {
  CallArguments rest = {.positional = {}, .named = arguments.named};
  rest.positional.assign(
      arguments.positional.begin() + static_cast<std::ptrdiff_t>(begin),
      arguments.positional.end());
  return rest;
}

absl::StatusOr<std::string> NameAt(const CallArguments& arguments,
                                   size_t place) {
  if (place < arguments.positional.size() &&
      arguments.positional[place].is_text()) {
    return arguments.positional[place].text().bytes();
  }
  return TemplateError("needs a name");
}

Result Map(const TemplateValue& value, const CallArguments& arguments,
           RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(Values items, ItemsOf(value, budget));
  if (arguments.positional.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        const auto bound,
        BindArguments(arguments, {"attribute", "default"}, 1));
    TANDEM_ASSIGN_OR_RETURN(const Values path,
                            ParseAttribute(*bound[0], budget));
    for (TemplateValue& item : items) {
      TANDEM_ASSIGN_OR_RETURN(item, AttributeOf(item, path, bound[1], budget));
    }
    return Generator(std::move(items), budget);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string name, NameAt(arguments, 0));
  const TemplateFilter* const filter = FindFilter(name);
  if (filter == nullptr) {
    return TemplateError(UnknownNameMessage("filter", name, FilterNames()));
  }
  // It would recurse as deep as there are arguments.
  if (filter->function == &Map) {
    return TemplateError("map can not be given to map");
  }
  const CallArguments rest = Rest(arguments, 1);
  for (TemplateValue& item : items) {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    TANDEM_ASSIGN_OR_RETURN(item, filter->function(item, rest, budget));
  }
  return Generator(std::move(items), budget);
}

// select, reject and their forms for an attribute.
template <bool is_selecting, bool has_attribute>
Result Select(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const Values items, ItemsOf(value, budget));
  const size_t test_at = has_attribute ? 1 : 0;
  if (has_attribute && arguments.positional.empty()) {
    return TemplateError("needs an attribute");
  }
  const TemplateTest* test = nullptr;
  CallArguments rest;
  if (arguments.positional.size() > test_at) {
    TANDEM_ASSIGN_OR_RETURN(const std::string name, NameAt(arguments, test_at));
    test = FindTest(name);
    if (test == nullptr) {
      return TemplateError(UnknownNameMessage("test", name, TestNames()));
    }
    rest = Rest(arguments, test_at + 1);
  }
  Values path;
  if (has_attribute) {
    TANDEM_ASSIGN_OR_RETURN(path,
                            ParseAttribute(arguments.positional[0], budget));
  }
  Values selected;
  for (const TemplateValue& item : items) {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue tested,
                            AttributeOf(item, path, nullptr, budget));
    bool passes = IsTrue(tested);
    if (test != nullptr) {
      TANDEM_ASSIGN_OR_RETURN(passes, test->function(tested, rest, budget));
    }
    if (passes == is_selecting) selected.push_back(item);
  }
  return Generator(std::move(selected), budget);
}

constexpr TemplateFilter kListFilters[] = {
    {"batch", &Batch},
    {"count", &Length},
    {"dictsort", &DictSort},
    {"first", &First},
    {"groupby", &GroupBy},
    {"items", &Items},
    {"join", &Join},
    {"last", &Last},
    {"length", &Length},
    {"list", &List},
    {"map", &Map},
    {"max", &Extreme<Order::kRising>},
    {"min", &Extreme<Order::kFalling>},
    {"reject", &Select<false, false>},
    {"rejectattr", &Select<false, true>},
    {"reverse", &Reverse},
    {"select", &Select<true, false>},
    {"selectattr", &Select<true, true>},
    {"slice", &Slice},
    {"sort", &Sort},
    {"sum", &Sum},
    {"unique", &Unique},
};

}  // namespace

absl::Span<const TemplateFilter> ListFilters() { return kListFilters; }

}  // namespace tandem
