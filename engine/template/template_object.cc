#include "engine/template/template_object.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
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
  std::vector<const Value*> bound;  // by parameter
};

// Variables that a template may change from within loops and macros.
class NamespaceObject : public TemplateObject {
 public:
  explicit NamespaceObject(RenderBudget* budget)
      : TemplateObject(""), budget_(*budget) {}

  MarkedText Print(RenderBudget& budget) const override;
  std::optional<Value> Attribute(absl::string_view name) override {
    const Value* found = Find(name);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  void SetAttribute(absl::string_view name, const Value& value,
                    RenderBudget& budget) override;

 private:
  Value* Find(absl::string_view name);

  RenderBudget& budget_;
  // In the order of their first assignment.
  std::vector<std::pair<std::string, Value>> variables_;
  mutable bool is_printing_ = false;
};

MarkedText NamespaceObject::Print(RenderBudget& budget) const {
  if (is_printing_) {
    return budget.Fail("a namespace that holds itself can not be printed");
  }
  is_printing_ = true;
  MarkedText text("<Namespace {", TextMark::kTemplate);
  for (size_t i = 0; i < variables_.size(); ++i) {
    const auto& [name, value] = variables_[i];
    text.Append(i > 0 ? ", '" : "'", TextMark::kTemplate);
    // A name may come from a map of the caller's.
    text.Append(name, TextMark::kContent);
    text.Append("': ", TextMark::kTemplate);
    if (!budget.Append(ReprOf(value, budget), &text)) break;
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

void NamespaceObject::SetAttribute(absl::string_view name, const Value& value,
                                   RenderBudget& budget) {
  if (Value* variable = Find(name)) {
    *variable = value;
  } else if (budget.TakeForever(sizeof(variables_[0]) + name.size())) {
    variables_.emplace_back(std::string(name), value);
  }
}

// Gives its items in turn.
class CyclerObject : public TemplateObject {
 public:
  CyclerObject(std::vector<Value> items, RenderBudget* budget)
      : TemplateObject("<cycler>"),
        items_(std::move(items)),
        budget_(*budget) {}

  std::optional<Value> Attribute(absl::string_view name) override {
    if (name == "next") return Value(&next_);
    if (name == "reset") return Value(&reset_);
    if (name == "current") return items_[place_];
    return std::nullopt;
  }

 private:
  Value Move(const CallArguments& arguments, bool is_reset) {
    BindArguments(arguments, {}, 0, budget_);
    const size_t next = is_reset ? 0 : (place_ + 1) % items_.size();
    const size_t place = std::exchange(place_, next);
    return is_reset ? Value::None() : items_[place];
  }

  const std::vector<Value> items_;
  RenderBudget& budget_;
  size_t place_ = 0;
  TemplateObject next_{"<cycler>", [this](const CallArguments& arguments) {
                         return Move(arguments, false);
                       }};
  TemplateObject reset_{"<cycler>", [this](const CallArguments& arguments) {
                          return Move(arguments, true);
                        }};
};

Value Range(const GlobalCall& call) {
  const auto& bounds = call.bound;
  const int64_t start = bounds[1] == nullptr ? 0 : bounds[0]->whole();
  const int64_t stop = (bounds[1] == nullptr ? bounds[0] : bounds[1])->whole();
  const int64_t step = bounds[2] == nullptr ? 1 : bounds[2]->whole();
  if (step == 0) return call.budget.Fail("the step is 0");
  const auto distance = static_cast<long double>(stop) - start;
  const long double count = std::max(0.0L, distance / step);
  if (count > kRangeItemsMax) {
    return call.budget.Fail("makes more than ", kRangeItemsMax, " numbers");
  }
  return call.budget.NewRange({.start = start, .stop = stop, .step = step},
                              static_cast<size_t>(std::ceil(count)));
}

// Entries of a map, or pairs, and named arguments.
std::vector<Value::Entry> EntriesOf(const GlobalCall& call) {
  std::vector<Value::Entry> entries;
  const CallArguments& arguments = call.arguments;
  if (arguments.positional.size() > 1) {
    return call.budget.Fail("takes one map and named values");
  }
  if (!arguments.positional.empty() && arguments.positional[0].is_map()) {
    const auto given = arguments.positional[0].entries();
    call.budget.Step(given.size());
    if (!call.budget.Check()) return {};
    entries.assign(given.begin(), given.end());
  } else if (!arguments.positional.empty()) {
    const std::vector<Value> pairs =
        ItemsOf(arguments.positional[0], call.budget);
    for (const Value& pair : pairs) {
      if (!IsIndexable(pair) || pair.items().size() != 2) {
        return call.budget.Fail("takes a map, or pairs of a key and a value");
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

Value Dict(const GlobalCall& call) {
  const auto entries = EntriesOf(call);
  MapBuilder map(&call.budget);
  for (const auto& [key, value] : entries) {
    map.Set(key, value);
  }
  return map.Build();
}

Value Namespace(const GlobalCall& call) {
  const auto entries = EntriesOf(call);
  auto space = std::make_unique<NamespaceObject>(&call.budget);
  for (const auto& [key, value] : entries) {
    if (!key.is_text() || key.text().size() > kVariableNameBytesMax) {
      return call.budget.Fail("takes names that are texts of at most ",
                              kVariableNameBytesMax, " bytes");
    }
    space->SetAttribute(key.text().bytes(), value, call.budget);
  }
  return call.budget.NewObject(std::move(space), sizeof(NamespaceObject));
}

Value Cycler(const GlobalCall& call) {
  const std::vector<Value>& items = call.arguments.positional;
  if (items.empty() || !call.arguments.named.empty()) {
    return call.budget.Fail("takes the items to cycle through");
  }
  return call.budget.NewObject(
      std::make_unique<CyclerObject>(items, &call.budget),
      sizeof(CyclerObject) + items.size() * sizeof(Value));
}

// Nothing at its first call, its separator after that.
Value Joiner(const GlobalCall& call) {
  const Value separator =
      call.bound[0] == nullptr ? Value::Text(", ") : *call.bound[0];
  const auto join = [separator, is_used = false, &budget = call.budget](
                        const CallArguments& arguments) mutable {
    BindArguments(arguments, {}, 0, budget);
    return std::exchange(is_used, true) ? separator : Value::Text("");
  };
  return call.budget.NewObject(
      std::make_unique<TemplateObject>("<joiner>", join),
      sizeof(TemplateObject) + sizeof(join));
}

Value RaiseException(const GlobalCall& call) {
  const MarkedText text = TextOf(*call.bound[0], call.budget);
  return call.budget.Fail(
      InvalidArgument(kReasonInvalidOptions,
                      absl::StrCat("the chat template refuses this: ",
                                   CutText(text.bytes(), kRaisedBytesMax))));
}

Value TimeNow(const GlobalCall& call) {
  const MarkedText& format = call.bound[0]->text();
  // A field of two bytes is as much work as a step.
  call.budget.Step(format.size());
  const std::string text = FormatTime(format.bytes(), call.now, call.budget);
  // What is written by a format that has contents is content.
  return call.budget.NewText(MarkedText(
      text, format.ranges() > 0 ? TextMark::kContent : TextMark::kTemplate));
}

struct Global {
  absl::string_view name;
  std::array<absl::string_view, 3> parameters;  // as BindArguments has them
  size_t required = 0;
  Value (*function)(const GlobalCall& call);
};

constexpr Global kGlobals[] = {
    {"range", {"/#start", "/#stop", "/#step"}, 1, &Range},
    {"dict", {kAnyArguments}, 0, &Dict},
    {"namespace", {kAnyArguments}, 0, &Namespace},
    {"cycler", {kAnyArguments}, 0, &Cycler},
    {"joiner", {"sep"}, 0, &Joiner},
    {"raise_exception", {"message"}, 1, &RaiseException},
    {"strftime_now", {"$format"}, 1, &TimeNow},
};

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

std::vector<const Value*> BindArguments(
    const CallArguments& arguments,
    absl::Span<const absl::string_view> parameters, size_t required,
    RenderBudget& budget) {
  while (!parameters.empty() && parameters.back().empty()) {
    parameters.remove_suffix(1);
  }
  std::vector<const Value*> bound(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return budget.Fail("at most ", parameters.size(), " arguments are taken, ",
                       arguments.positional.size(), " given");
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
      return budget.Fail("the argument ", Quoted(name), " is not taken");
    }
    if (bound[place] != nullptr) {
      return budget.Fail("the argument ", Quoted(name), " is given twice");
    }
    bound[place] = &value;
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const absl::string_view parameter = parameters[i];
    if (bound[i] == nullptr) {
      if (i >= required) continue;
      return budget.Fail("the argument '", NameOf(parameter), "' is missing");
    }
    if (bound[i]->is_none() && HasSign(parameter, '?')) {
      bound[i] = nullptr;
    } else if (HasSign(parameter, '#')) {
      NeedWhole(*bound[i], budget);
    } else if (HasSign(parameter, '$')) {
      NeedText(*bound[i], budget);
    }
  }
  return bound;
}

MarkedText TemplateObject::Print(RenderBudget& budget) const {
  budget.Step();
  return MarkedText(text_, TextMark::kTemplate);
}

std::optional<Value> TemplateObject::Attribute(absl::string_view /*name*/) {
  return std::nullopt;
}

void TemplateObject::SetAttribute(absl::string_view /*name*/,
                                  const Value& /*value*/,
                                  RenderBudget& budget) {
  budget.Fail("attributes of namespaces only can be assigned");
}

std::optional<Value> MakeGlobal(absl::string_view name, const std::tm& now,
                                RenderBudget& budget) {
  for (const Global& global : kGlobals) {
    if (global.name != name) continue;
    const auto call = [&global, &now, &budget](const CallArguments& arguments) {
      GlobalCall given = {
          .arguments = arguments, .now = now, .budget = budget, .bound = {}};
      if (global.parameters[0] != kAnyArguments) {
        given.bound = BindArguments(arguments, global.parameters,
                                    global.required, budget);
      }
      Value result = budget.ok() ? global.function(given) : Value();
      budget.AnnotateError(global.name, "()");
      return result;
    };
    return budget.NewObject(
        std::make_unique<TemplateObject>(
            absl::StrCat("<function ", global.name, ">"), call),
        sizeof(TemplateObject) + sizeof(call));
  }
  return std::nullopt;
}

}  // namespace tandem
