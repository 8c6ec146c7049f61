#include "engine/template/value_methods.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/containers.h"
#include "engine/template/operators.h"
#include "engine/template/text_methods.h"

namespace tandem {
namespace {

using ListKind = TemplateValue::ListKind;
using Result = absl::StatusOr<TemplateValue>;

Result CountItem(const TemplateValue& value, const CallArguments& arguments,
                 RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/item"}, 1));
  int64_t count = 0;
  for (const TemplateValue& item : value.items()) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(item, *bound[0], budget));
    count += is_equal ? 1 : 0;
  }
  return TemplateValue::Integer(count);
}

Result IndexOfItem(const TemplateValue& value, const CallArguments& arguments,
                   RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/item"}, 1));
  for (size_t i = 0; i < value.items().size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(value.items()[i], *bound[0], budget));
    if (is_equal) return TemplateValue::Integer(static_cast<int64_t>(i));
  }
  return TemplateError("the item is not in the list");
}

Result CopyValue(const TemplateValue& value, const CallArguments& arguments,
                 RenderBudget& /*budget*/) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return value;
}

Result GetItem(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/key", "/default"}, 1));
  if (!bound[0]->is_key()) {
    return TemplateError(
        absl::StrCat(KindName(*bound[0]), " can not be a key"));
  }
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue* found,
                          FindKey(value, *bound[0], budget));
  if (found != nullptr) return *found;
  return bound[1] == nullptr ? TemplateValue::None() : *bound[1];
}

template <ListKind kind>
Result View(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  TANDEM_RETURN_IF_ERROR(budget.CheckItems(value.entries().size()));
  std::vector<TemplateValue> items;
  for (const auto& [key, item] : value.entries()) {
    if (kind == ListKind::kKeys) items.push_back(key);
    if (kind == ListKind::kValues) items.push_back(item);
    if (kind == ListKind::kItems) {
      TANDEM_ASSIGN_OR_RETURN(TemplateValue pair,
                              budget.NewList({key, item}, ListKind::kTuple));
      items.push_back(std::move(pair));
    }
  }
  return budget.NewList(std::move(items), kind);
}

constexpr TemplateMethod kListMethods[] = {
    {"copy", &CopyValue},
    {"count", &CountItem},
    {"index", &IndexOfItem},
};

constexpr TemplateMethod kMapMethods[] = {
    {"copy", &CopyValue},
    {"get", &GetItem},
    {"items", &View<ListKind::kItems>},
    {"keys", &View<ListKind::kKeys>},
    {"values", &View<ListKind::kValues>},
};

constexpr absl::string_view kChangingListMethods[] = {
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr absl::string_view kChangingMapMethods[] = {"clear", "pop", "popitem",
                                                     "setdefault", "update"};

}  // namespace

MethodFunction FindMethod(const TemplateValue& value, absl::string_view name) {
  if (value.is_text()) return FindTextMethod(name);
  if (value.is_map()) return FindMethodIn(kMapMethods, name);
  if (value.is_indexable()) return FindMethodIn(kListMethods, name);
  return nullptr;
}

bool IsChangingMethod(const TemplateValue& value, absl::string_view name) {
  const auto has = [name](absl::Span<const absl::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (value.is_map()) return has(kChangingMapMethods);
  return value.is_list(ListKind::kList) && has(kChangingListMethods);
}

}  // namespace tandem
