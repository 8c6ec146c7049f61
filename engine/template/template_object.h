// Values that do something: functions, namespaces, cyclers, joiners. They
// belong to one render, which keeps them to its end (ObjectStore), so values
// only point at them and no cycle of owners can come about. One thread.

#ifndef TANDEM_ENGINE_TEMPLATE_TEMPLATE_OBJECT_H_
#define TANDEM_ENGINE_TEMPLATE_TEMPLATE_OBJECT_H_

#include <cstddef>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_value.h"

namespace tandem {

struct CallArguments {
  std::vector<TemplateValue> positional;
  std::vector<std::pair<std::string, TemplateValue>> named;
};

// Arguments by parameter, as Python binds them. A parameter whose name begins
// with '/' can not be named in a call. The first `required` ones must be there.
// Absent ones are null; the result points into `arguments`.
absl::StatusOr<std::vector<const TemplateValue*>> BindArguments(
    const CallArguments& arguments,
    std::initializer_list<absl::string_view> parameters, size_t required);

class TemplateObject {
 public:
  TemplateObject() = default;
  TemplateObject(const TemplateObject&) = delete;
  TemplateObject& operator=(const TemplateObject&) = delete;
  virtual ~TemplateObject() = default;

  virtual absl::StatusOr<MarkedText> Print(RenderBudget& budget) const = 0;
  virtual bool is_callable() const { return true; }
  virtual absl::StatusOr<TemplateValue> Call(const CallArguments& arguments);
  // Empty where there is none of that name.
  virtual absl::StatusOr<std::optional<TemplateValue>> Attribute(
      absl::string_view name);
  virtual absl::Status SetAttribute(absl::string_view name,
                                    const TemplateValue& value);
};

// The objects of a render.
class ObjectStore {
 public:
  // `budget` outlives the store.
  explicit ObjectStore(RenderBudget* budget) : budget_(*budget) {}

  RenderBudget& budget() { return budget_; }

  // A value that points to `object`, which the store keeps.
  absl::StatusOr<TemplateValue> Add(std::unique_ptr<TemplateObject> object,
                                    size_t bytes);

 private:
  RenderBudget& budget_;
  std::vector<std::unique_ptr<TemplateObject>> objects_;
};

// The global function or class `name` (range, namespace, dict, cycler, joiner,
// raise_exception, strftime_now); empty where there is none.
absl::StatusOr<std::optional<TemplateValue>> MakeGlobal(absl::string_view name,
                                                        const std::tm& now,
                                                        ObjectStore* store);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEMPLATE_OBJECT_H_
