#include "engine/template/template_object.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/format_text.h"
#include "engine/template/operators.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;

// Items of range(): as many as Jinja's sandbox allows.
constexpr int64_t kRangeItemsMax = 100'000;
// Bytes of the text of raise_exception that an error shows.
constexpr size_t kRaisedBytesMax = 512;

// What a call of a global function gets.
struct GlobalCall {
  const CallArguments& arguments;
  const std::tm& now;
  RenderBudget& budget;
};

// Variables that a template may change from within loops and macros.
class NamespaceObject : public TemplateObject {
 public:
  explicit NamespaceObject(RenderBudget* budget)
      : TemplateObject(""), budget_(*budget) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override;
  std::optional<Value> Attribute(absl::string_view name) override {
    const Value* found = Find(name);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  absl::Status SetAttribute(absl::string_view name,
                            const Value& value) override;

 private:
  Value* Find(absl::string_view name);

  RenderBudget& budget_;
  // In the order of their first assignment.
  std::vector<std::pair<std::string, Value>> variables_;
  mutable bool is_printing_ = false;
};

absl::StatusOr<MarkedText> NamespaceObject::Print(RenderBudget& budget) const {
  if (is_printing_) {
    return TemplateError("a namespace that holds itself can not be printed");
  }
  is_printing_ = true;
  MarkedText text("<Namespace {", TextMark::kTemplate);
  for (size_t i = 0; i < variables_.size(); ++i) {
    const auto& [name, value] = variables_[i];
    text.Append(i > 0 ? ", '" : "'", TextMark::kTemplate);
    // A name may come from a map of the caller's.
    text.Append(name, TextMark::kContent);
    text.Append("': ", TextMark::kTemplate);
    TANDEM_ASSIGN_OR_RETURN(const MarkedText item, ReprOf(value, budget));
    TANDEM_RETURN_IF_ERROR(budget.Append(item, &text));
  }
  is_printing_ = false;
  text.Append("}>", TextMark::kTemplate);
  return text;
}

Value* NamespaceObject::Find(absl::string_view name) {
  budget_.StepVariables(variables_.size());
  for (auto& [other, value] : variables_) {
    if (other == name) return &value;
  }
  return nullptr;
}

absl::Status NamespaceObject::SetAttribute(absl::string_view name,
                                           const Value& value) {
  if (Value* variable = Find(name)) {
    *variable = value;
    return absl::OkStatus();
  }
  TANDEM_RETURN_IF_ERROR(
      budget_.TakeForever(sizeof(variables_[0]) + name.size()));
  variables_.emplace_back(std::string(name), value);
  return absl::OkStatus();
}

// Gives its items in turn.
class CyclerObject : public TemplateObject {
 public:
  explicit CyclerObject(std::vector<Value> items)
      : TemplateObject("<cycler>"), items_(std::move(items)) {}

  std::optional<Value> Attribute(absl::string_view name) override {
    if (name == "next") return Value(&next_);
    if (name == "reset") return Value(&reset_);
    if (name == "current") return items_[place_];
    return std::nullopt;
  }

 private:
  ValueOr Move(const CallArguments& arguments, bool is_reset) {
    TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
    const size_t next = is_reset ? 0 : (place_ + 1) % items_.size();
    const size_t place = std::exchange(place_, next);
    return is_reset ? Value::None() : items_[place];
  }

  const std::vector<Value> items_;
  size_t place_ = 0;
  TemplateObject next_{"<cycler>", [this](const CallArguments& arguments) {
                         return Move(arguments, false);
                       }};
  TemplateObject reset_{"<cycler>", [this](const CallArguments& arguments) {
                          return Move(arguments, true);
                        }};
};

ValueOr Range(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bounds,
      BindArguments(call.arguments, {"/#start", "/#stop", "/#step"}, 1));
  const int64_t start = bounds[1] == nullptr ? 0 : bounds[0]->whole();
  const int64_t stop = (bounds[1] == nullptr ? bounds[0] : bounds[1])->whole();
  const int64_t step = bounds[2] == nullptr ? 1 : bounds[2]->whole();
  if (step == 0) return TemplateError("the step is 0");
  const auto distance = static_cast<long double>(stop) - start;
  const long double count = std::max(0.0L, distance / step);
  if (count > kRangeItemsMax) {
    return TemplateError("makes more than ", kRangeItemsMax, " numbers");
  }
  return call.budget.NewRange({.start = start, .stop = stop, .step = step},
                              static_cast<size_t>(std::ceil(count)));
}

// Entries of a map, or pairs, and named arguments.
absl::StatusOr<std::vector<Value::Entry>> EntriesOf(const GlobalCall& call) {
  std::vector<Value::Entry> entries;
  const CallArguments& arguments = call.arguments;
  if (arguments.positional.size() > 1) {
    return TemplateError("takes one map and named values");
  }
  if (!arguments.positional.empty() && arguments.positional[0].is_map()) {
    const auto given = arguments.positional[0].entries();
    call.budget.Step(given.size());
    TANDEM_RETURN_IF_ERROR(call.budget.Check());
    entries.assign(given.begin(), given.end());
  } else if (!arguments.positional.empty()) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> pairs,
                            ItemsOf(arguments.positional[0], call.budget));
    for (const Value& pair : pairs) {
      if (!IsIndexable(pair) || pair.items().size() != 2) {
        return TemplateError("takes a map, or pairs of a key and a value");
      }
      entries.emplace_back(pair.items()[0], pair.items()[1]);
    }
  }
  // A name may come from a map of the caller's, by **.
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(Value::Content(name), value);
  }
  return entries;
}

ValueOr Dict(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto entries, EntriesOf(call));
  MapBuilder map(&call.budget);
  for (const auto& [key, value] : entries) {
    TANDEM_RETURN_IF_ERROR(map.Set(key, value));
  }
  return map.Build();
}

ValueOr Namespace(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto entries, EntriesOf(call));
  auto space = std::make_unique<NamespaceObject>(&call.budget);
  for (const auto& [key, value] : entries) {
    if (!key.is_text() || key.text().size() > kVariableNameBytesMax) {
      return TemplateError("takes names that are texts of at most ",
                           kVariableNameBytesMax, " bytes");
    }
    TANDEM_RETURN_IF_ERROR(space->SetAttribute(key.text().bytes(), value));
  }
  return call.budget.NewObject(std::move(space), sizeof(NamespaceObject));
}

ValueOr Cycler(const GlobalCall& call) {
  const std::vector<Value>& items = call.arguments.positional;
  if (items.empty() || !call.arguments.named.empty()) {
    return TemplateError("takes the items to cycle through");
  }
  return call.budget.NewObject(
      std::make_unique<CyclerObject>(items),
      sizeof(CyclerObject) + items.size() * sizeof(Value));
}

// Nothing at its first call, its separator after that.
ValueOr Joiner(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(call.arguments, {"sep"}, 0));
  const Value separator = bound[0] == nullptr ? Value::Text(", ") : *bound[0];
  const auto join = [separator, is_used = false](
                        const CallArguments& arguments) mutable -> ValueOr {
    TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
    return std::exchange(is_used, true) ? separator : Value::Text("");
  };
  return call.budget.NewObject(
      std::make_unique<TemplateObject>("<joiner>", join),
      sizeof(TemplateObject) + sizeof(join));
}

ValueOr RaiseException(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(call.arguments, {"message"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text,
                          TextOf(*bound[0], call.budget));
  return InvalidArgument(kReasonInvalidOptions,
                         absl::StrCat("the chat template refuses this: ",
                                      CutText(text.bytes(), kRaisedBytesMax)));
}

ValueOr TimeNow(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(call.arguments, {"$format"}, 1));
  const MarkedText& format = bound[0]->text();
  // A field of two bytes is as much work as a step.
  call.budget.Step(format.size());
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          FormatTime(format.bytes(), call.now));
  // What is written by a format that has contents is content.
  return call.budget.NewText(MarkedText(
      text, format.ranges() > 0 ? TextMark::kContent : TextMark::kTemplate));
}

// A parameter without its signs.
absl::string_view NameOf(absl::string_view parameter) {
  return parameter.substr(
      std::min(parameter.find_first_not_of("/?#$"), parameter.size()));
}

bool HasSign(absl::string_view parameter, char sign) {
  return parameter.substr(0, parameter.size() - NameOf(parameter).size())
             .find(sign) != absl::string_view::npos;
}

}  // namespace

absl::StatusOr<std::vector<const Value*>> BindArguments(
    const CallArguments& arguments,
    absl::Span<const absl::string_view> parameters, size_t required) {
  while (!parameters.empty() && parameters.back().empty()) {
    parameters.remove_suffix(1);
  }
  std::vector<const Value*> bound(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return TemplateError("at most ", parameters.size(),
                         " arguments are taken, ", arguments.positional.size(),
                         " given");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    size_t place = 0;
    while (place < parameters.size() && (HasSign(parameters[place], '/') ||
                                         NameOf(parameters[place]) != name)) {
      ++place;
    }
    if (place == parameters.size()) {
      return TemplateError("the argument ", Quoted(name), " is not taken");
    }
    if (bound[place] != nullptr) {
      return TemplateError("the argument ", Quoted(name), " is given twice");
    }
    bound[place] = &value;
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const absl::string_view parameter = parameters[i];
    if (bound[i] == nullptr) {
      if (i >= required) continue;
      return TemplateError("the argument '", NameOf(parameter), "' is missing");
    }
    if (bound[i]->is_none() && HasSign(parameter, '?')) {
      bound[i] = nullptr;
    } else if (HasSign(parameter, '#')) {
      TANDEM_RETURN_IF_ERROR(NeedWhole(*bound[i]).status());
    } else if (HasSign(parameter, '$')) {
      TANDEM_RETURN_IF_ERROR(NeedText(*bound[i]));
    }
  }
  return bound;
}

absl::StatusOr<MarkedText> TemplateObject::Print(RenderBudget& budget) const {
  budget.Step();
  return MarkedText(text_, TextMark::kTemplate);
}

std::optional<Value> TemplateObject::Attribute(absl::string_view /*name*/) {
  return std::nullopt;
}

absl::Status TemplateObject::SetAttribute(absl::string_view /*name*/,
                                          const Value& /*value*/) {
  return TemplateError("attributes of namespaces only can be assigned");
}

absl::StatusOr<std::optional<Value>> MakeGlobal(absl::string_view name,
                                                const std::tm& now,
                                                RenderBudget& budget) {
  constexpr std::pair<absl::string_view, ValueOr (*)(const GlobalCall&)>
      kGlobals[] = {
          {"range", &Range},          {"dict", &Dict},
          {"namespace", &Namespace},  {"cycler", &Cycler},
          {"joiner", &Joiner},        {"raise_exception", &RaiseException},
          {"strftime_now", &TimeNow},
      };
  for (const auto& [global, function] : kGlobals) {
    if (global != name) continue;
    const std::string label = absl::StrCat(global, "()");
    const auto call = [label, function = function, &now,
                       &budget](const CallArguments& arguments) -> ValueOr {
      ValueOr result =
          function({.arguments = arguments, .now = now, .budget = budget});
      return result.ok() ? result : Annotate(result.status(), label);
    };
    TANDEM_ASSIGN_OR_RETURN(
        const Value value,
        budget.NewObject(std::make_unique<TemplateObject>(
                             absl::StrCat("<function ", global, ">"), call),
                         sizeof(TemplateObject) + sizeof(call)));
    return value;
  }
  return std::nullopt;
}

}  // namespace tandem
