// Lists, maps and texts as containers: what is in them, by place, by key and in
// order, as in Python. Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_CONTAINERS_H_
#define TANDEM_ENGINE_TEMPLATE_CONTAINERS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_value.h"

namespace tandem {

// What iterating over a value gives: items, keys, characters; nothing for an
// undefined one.
std::vector<TemplateValue> ItemsOf(const TemplateValue& value,
                                   RenderBudget& budget);

// len(value); an error where it has none.
TemplateValue LengthOf(const TemplateValue& value, RenderBudget& budget);

// Whether a map can have it as a key; else an error.
bool NeedKey(const TemplateValue& key, RenderBudget& budget);

// The value of any key in a map; null where there is none.
const TemplateValue* FindKey(const TemplateValue& map, const TemplateValue& key,
                             RenderBudget& budget);

// value[key], without attributes; empty where there is none.
std::optional<TemplateValue> ItemAt(const TemplateValue& value,
                                    const TemplateValue& key,
                                    RenderBudget& budget);

// What a namespace or another object, or a group of groupby, has by `name`;
// empty where there is none.
std::optional<TemplateValue> PartOf(const TemplateValue& value,
                                    absl::string_view name);

// value[key], or what namespaces and other objects have by that name; undefined
// where there is none, an error where `value` is undefined.
TemplateValue LookUp(const TemplateValue& value, const TemplateValue& key,
                     RenderBudget& budget);

struct SliceBounds {
  TemplateValue start;  // each a whole number or none
  TemplateValue stop;
  TemplateValue step;
};
// value[start:stop:step]
TemplateValue SliceOf(const TemplateValue& value, const SliceBounds& bounds,
                      RenderBudget& budget);

// The entries of a map while it is made: of equal keys the first place and the
// last value stay.
class MapBuilder {
 public:
  explicit MapBuilder(RenderBudget* budget) : budget_(*budget) {}

  // An error for a key that a map can not have.
  void Set(const TemplateValue& key, TemplateValue value);
  // The value of `key`; null where there is none. Valid until the next Set.
  TemplateValue* Find(const TemplateValue& key);
  TemplateValue Build() { return budget_.NewMap(std::move(entries_)); }

 private:
  RenderBudget& budget_;
  std::vector<TemplateValue::Entry> entries_;
  // Keys point into the texts of `entries_`.
  absl::flat_hash_map<absl::string_view, size_t> text_keys_;
  std::vector<size_t> other_keys_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CONTAINERS_H_
