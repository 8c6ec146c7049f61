// Filters, tests and methods of the template language by name, as Jinja and
// Python have them. Each is a row of a table; those of texts and of lists stand
// in files of their own, those of other values and the tests here. Methods that
// would change a value are not there: a template's values do not change, as in
// the sandbox that chat templates are written for. Pure functions within a
// render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_BUILTINS_H_
#define TANDEM_ENGINE_TEMPLATE_BUILTINS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_object.h"
#include "engine/template/template_value.h"

namespace tandem {

// What a filter, test or method gets.
struct BuiltinCall {
  const TemplateValue& value;  // what it is applied to
  const CallArguments& arguments;
  RenderBudget& budget;
  // The arguments by parameter; null where one is not given.
  std::vector<const TemplateValue*> bound;

  bool Has(size_t i) const { return bound[i] != nullptr; }
  bool IsTrueAt(size_t i) const { return Has(i) && IsTrue(*bound[i]); }
  int64_t WholeAt(size_t i, int64_t absent) const {
    return Has(i) ? bound[i]->whole() : absent;
  }
  const MarkedText& TextAt(size_t i) const { return bound[i]->text(); }
};

struct Builtin {
  absl::string_view name;
  std::array<absl::string_view, 4> parameters;  // as BindArguments has them
  size_t required = 0;
  TemplateValue (*function)(const BuiltinCall& call);
  // A value that is no text is turned into its text first.
  bool is_of_text = false;
};

TemplateValue CallBuiltin(const Builtin& builtin, const TemplateValue& value,
                          const CallArguments& arguments, RenderBudget& budget);

enum class BuiltinKind { kFilter, kTest };
// Null where there is none of that name.
const Builtin* FindBuiltin(BuiltinKind kind, absl::string_view name);
std::vector<absl::string_view> BuiltinNames(BuiltinKind kind);
// The error that there is none of that name.
std::string NoBuiltinMessage(BuiltinKind kind, absl::string_view name);
// value.name
const Builtin* FindMethod(const TemplateValue& value, absl::string_view name);

// Filters of Jinja that have no use in chat templates: those that make HTML,
// draw at random or lay out for people.
bool IsRefusedFilter(absl::string_view name);
// Whether values of this kind have a method of that name that changes them.
bool IsChangingMethod(const TemplateValue& value, absl::string_view name);

// Argument `i` as an indent: a text, or as many spaces as it says, `absent`
// ones where it is not given.
MarkedText IndentAt(const BuiltinCall& call, size_t i, int64_t absent);
// The texts of `items`, `separator` between them.
TemplateValue JoinTexts(const MarkedText& separator,
                        const std::vector<TemplateValue>& items,
                        RenderBudget& budget);
// Whether there are letters of a case and `is_case` holds for all of them.
template <bool (*is_case)(uint32_t code_point)>
TemplateValue AreInCase(const BuiltinCall& call) {
  const std::string& bytes = call.value.text().bytes();
  call.budget.StepCharacters(bytes.size());
  return TemplateValue::Bool(IsAllInCase(bytes, is_case));
}

// text_builtins.cc
absl::Span<const Builtin> TextMethods();
absl::Span<const Builtin> TextFilters();
// The last place of `part` in `text`; npos if none.
size_t FindLast(absl::string_view text, absl::string_view part,
                RenderBudget& budget);

// list_builtins.cc
absl::Span<const Builtin> ListMethods();
absl::Span<const Builtin> MapMethods();
absl::Span<const Builtin> ListFilters();

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_BUILTINS_H_
