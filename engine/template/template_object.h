// Values that do something: functions, namespaces, loops. They belong to one
// render, which keeps them to its end (RenderBudget::NewObject), so values only
// point at them and no cycle of owners can come about. One thread.

#ifndef TANDEM_ENGINE_TEMPLATE_TEMPLATE_OBJECT_H_
#define TANDEM_ENGINE_TEMPLATE_TEMPLATE_OBJECT_H_

#include <cstddef>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_value.h"

namespace tandem {

struct CallArguments {
  std::vector<TemplateValue> positional;
  std::vector<std::pair<std::string, TemplateValue>> named;
};

// In place of parameters: the function looks at the arguments itself.
inline constexpr absl::string_view kAnyArguments = "*";

// Arguments by parameter, as Python binds them; the first `required` ones must
// be there. Signs stand before a parameter's name: '/', it can not be named in
// a call; '?', none is as if it were not given; '#', it must be a whole number;
// '$', a text. Parameters end at the first empty one. Absent arguments are
// null; the result points into `arguments`, and is empty after an error.
std::vector<const TemplateValue*> BindArguments(
    const CallArguments& arguments,
    absl::Span<const absl::string_view> parameters, size_t required,
    RenderBudget& budget);

class TemplateObject {
 public:
  using Function = std::function<TemplateValue(const CallArguments& arguments)>;

  // Prints as `text`; can be called where there is a `function`.
  explicit TemplateObject(std::string text, Function function = nullptr)
      : text_(std::move(text)), function_(std::move(function)) {}
  TemplateObject(const TemplateObject&) = delete;
  TemplateObject& operator=(const TemplateObject&) = delete;
  virtual ~TemplateObject() = default;

  bool is_callable() const { return function_ != nullptr; }
  TemplateValue Call(const CallArguments& arguments) const {
    return function_(arguments);
  }

  virtual MarkedText Print(RenderBudget& budget) const;
  // Empty where there is none of that name.
  virtual std::optional<TemplateValue> Attribute(absl::string_view name);
  virtual void SetAttribute(absl::string_view name, const TemplateValue& value,
                            RenderBudget& budget);

 private:
  const std::string text_;
  const Function function_;
};

// The global function or class `name` (range, namespace, dict, cycler, joiner,
// raise_exception, strftime_now); empty where there is none. `now` outlives the
// render.
std::optional<TemplateValue> MakeGlobal(absl::string_view name,
                                        const std::tm& now,
                                        RenderBudget& budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEMPLATE_OBJECT_H_
