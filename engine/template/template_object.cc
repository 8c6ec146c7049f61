#include "engine/template/template_object.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/format_text.h"
#include "engine/template/operators.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

// Items of range(): as many as Jinja's sandbox allows.
constexpr int64_t kRangeItemsMax = 100'000;
// Bytes of the text of raise_exception that an error shows.
constexpr size_t kRaisedBytesMax = 512;

// What a call of a global function gets.
struct GlobalCall {
  const CallArguments& arguments;
  const std::tm& now;
  ObjectStore& store;
};
using GlobalFunction = absl::StatusOr<TemplateValue> (*)(const GlobalCall&);

class FunctionObject : public TemplateObject {
 public:
  FunctionObject(absl::string_view name, GlobalFunction function,
                 const std::tm* now, ObjectStore* store)
      : name_(name), function_(function), now_(*now), store_(*store) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    return MarkedText(absl::StrCat("<function ", name_, ">"),
                      TextMark::kTemplate);
  }
  absl::StatusOr<TemplateValue> Call(const CallArguments& arguments) override {
    absl::StatusOr<TemplateValue> result =
        function_({.arguments = arguments, .now = now_, .store = store_});
    if (result.ok()) return result;
    return Annotate(result.status(), absl::StrCat(name_, "()"));
  }

 private:
  const absl::string_view name_;
  const GlobalFunction function_;
  const std::tm& now_;
  ObjectStore& store_;
};

// Variables that a template may change from within loops and macros.
class NamespaceObject : public TemplateObject {
 public:
  explicit NamespaceObject(RenderBudget* budget) : budget_(*budget) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override;
  bool is_callable() const override { return false; }
  absl::StatusOr<std::optional<TemplateValue>> Attribute(
      absl::string_view name) override;
  absl::Status SetAttribute(absl::string_view name,
                            const TemplateValue& value) override;

 private:
  RenderBudget& budget_;
  // In the order of their first assignment.
  std::vector<std::pair<std::string, TemplateValue>> variables_;
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
    TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
        static_cast<double>(text.memory_bytes() + item.memory_bytes())));
    text.Append(item);
  }
  is_printing_ = false;
  text.Append("}>", TextMark::kTemplate);
  return text;
}

absl::StatusOr<std::optional<TemplateValue>> NamespaceObject::Attribute(
    absl::string_view name) {
  TANDEM_RETURN_IF_ERROR(budget_.StepVariables(variables_.size()));
  for (const auto& [other, value] : variables_) {
    if (other == name) return value;
  }
  return std::nullopt;
}

absl::Status NamespaceObject::SetAttribute(absl::string_view name,
                                           const TemplateValue& value) {
  TANDEM_RETURN_IF_ERROR(budget_.StepVariables(variables_.size()));
  for (auto& [other, variable] : variables_) {
    if (other != name) continue;
    variable = value;
    return absl::OkStatus();
  }
  TANDEM_RETURN_IF_ERROR(
      budget_.TakeObject(sizeof(variables_[0]) + name.size()));
  variables_.emplace_back(std::string(name), value);
  return absl::OkStatus();
}

// Gives its items in turn.
class CyclerObject : public TemplateObject {
 public:
  explicit CyclerObject(std::vector<TemplateValue> items)
      : items_(std::move(items)) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    return MarkedText("<cycler>", TextMark::kTemplate);
  }
  bool is_callable() const override { return false; }
  absl::StatusOr<std::optional<TemplateValue>> Attribute(
      absl::string_view name) override;

  // cycler.next() and cycler.reset().
  class Method : public TemplateObject {
   public:
    Method(CyclerObject* cycler, bool is_next)
        : cycler_(*cycler), is_next_(is_next) {}

    absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
      return cycler_.Print(budget);
    }
    absl::StatusOr<TemplateValue> Call(
        const CallArguments& arguments) override {
      TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
      if (!is_next_) {
        cycler_.place_ = 0;
        return TemplateValue::None();
      }
      const TemplateValue& item = cycler_.items_[cycler_.place_];
      cycler_.place_ = (cycler_.place_ + 1) % cycler_.items_.size();
      return item;
    }

   private:
    CyclerObject& cycler_;
    const bool is_next_;
  };

 private:
  const std::vector<TemplateValue> items_;
  size_t place_ = 0;
  Method next_{this, true};
  Method reset_{this, false};
};

absl::StatusOr<std::optional<TemplateValue>> CyclerObject::Attribute(
    absl::string_view name) {
  if (name == "next") return TemplateValue::Object(&next_);
  if (name == "reset") return TemplateValue::Object(&reset_);
  if (name == "current") return items_[place_];
  return std::nullopt;
}

// Nothing at its first call, its separator after that.
class JoinerObject : public TemplateObject {
 public:
  explicit JoinerObject(TemplateValue separator)
      : separator_(std::move(separator)) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    return MarkedText("<joiner>", TextMark::kTemplate);
  }
  absl::StatusOr<TemplateValue> Call(const CallArguments& arguments) override {
    TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
    return std::exchange(is_used_, true) ? separator_ : TemplateValue::Text("");
  }

 private:
  const TemplateValue separator_;
  bool is_used_ = false;
};

absl::StatusOr<TemplateValue> Range(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bounds,
      BindArguments(call.arguments, {"/start", "/stop", "/step"}, 1));
  for (const TemplateValue* bound : bounds) {
    if (bound != nullptr && !bound->is_whole()) {
      return TemplateError("needs whole numbers");
    }
  }
  const int64_t start = bounds[1] == nullptr ? 0 : bounds[0]->whole();
  const int64_t stop = (bounds[1] == nullptr ? bounds[0] : bounds[1])->whole();
  const int64_t step = bounds[2] == nullptr ? 1 : bounds[2]->whole();
  if (step == 0) return TemplateError("the step is 0");
  const auto distance = static_cast<long double>(stop) - start;
  const long double count = std::max(0.0L, distance / step);
  if (count > kRangeItemsMax) {
    return TemplateError(
        absl::StrCat("makes more than ", kRangeItemsMax, " numbers"));
  }
  return call.store.budget().NewRange(
      {.start = start, .stop = stop, .step = step},
      static_cast<size_t>(std::ceil(count)));
}

// Entries of a map, or pairs, and named arguments.
absl::StatusOr<std::vector<TemplateValue::Entry>> EntriesOf(
    const GlobalCall& call) {
  std::vector<TemplateValue::Entry> entries;
  const CallArguments& arguments = call.arguments;
  if (arguments.positional.size() > 1) {
    return TemplateError("takes one map and named values");
  }
  RenderBudget& budget = call.store.budget();
  if (!arguments.positional.empty() && arguments.positional[0].is_map()) {
    const auto given = arguments.positional[0].entries();
    TANDEM_RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(given.size())));
    entries.assign(given.begin(), given.end());
  } else if (!arguments.positional.empty()) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateValue> pairs,
                            ItemsOf(arguments.positional[0], budget));
    for (const TemplateValue& pair : pairs) {
      if (!pair.is_indexable() || pair.items().size() != 2) {
        return TemplateError("takes a map, or pairs of a key and a value");
      }
      entries.emplace_back(pair.items()[0], pair.items()[1]);
    }
  }
  // A name may come from a map of the caller's, by **.
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(TemplateValue::Content(name), value);
  }
  return entries;
}

absl::StatusOr<TemplateValue> Dict(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto entries, EntriesOf(call));
  MapBuilder map(&call.store.budget());
  for (const auto& [key, value] : entries) {
    TANDEM_RETURN_IF_ERROR(map.Set(key, value));
  }
  return map.Build();
}

absl::StatusOr<TemplateValue> Namespace(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto entries, EntriesOf(call));
  auto space = std::make_unique<NamespaceObject>(&call.store.budget());
  for (const auto& [key, value] : entries) {
    if (!key.is_text() || key.text().size() > kVariableNameBytesMax) {
      return TemplateError(
          absl::StrCat("takes names that are texts of at most ",
                       kVariableNameBytesMax, " bytes"));
    }
    TANDEM_RETURN_IF_ERROR(space->SetAttribute(key.text().bytes(), value));
  }
  return call.store.Add(std::move(space), sizeof(NamespaceObject));
}

absl::StatusOr<TemplateValue> Cycler(const GlobalCall& call) {
  if (call.arguments.positional.empty() || !call.arguments.named.empty()) {
    return TemplateError("takes the items to cycle through");
  }
  return call.store.Add(
      std::make_unique<CyclerObject>(call.arguments.positional),
      sizeof(CyclerObject) +
          call.arguments.positional.size() * sizeof(TemplateValue));
}

absl::StatusOr<TemplateValue> Joiner(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(call.arguments, {"sep"}, 0));
  return call.store.Add(
      std::make_unique<JoinerObject>(
          bound[0] == nullptr ? TemplateValue::Text(", ") : *bound[0]),
      sizeof(JoinerObject));
}

absl::StatusOr<TemplateValue> RaiseException(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(call.arguments, {"message"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text,
                          TextOf(*bound[0], call.store.budget()));
  return InvalidArgument(kReasonInvalidOptions,
                         absl::StrCat("the chat template refuses this: ",
                                      CutText(text.bytes(), kRaisedBytesMax)));
}

absl::StatusOr<TemplateValue> TimeNow(const GlobalCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(call.arguments, {"format"}, 1));
  if (!bound[0]->is_text()) return TemplateError("needs a text");
  // A field of two bytes is as much work as a step.
  TANDEM_RETURN_IF_ERROR(
      call.store.budget().Step(static_cast<int64_t>(bound[0]->text().size())));
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          FormatTime(bound[0]->text().bytes(), call.now));
  // What is written by a format that has contents is content.
  const bool has_content = bound[0]->text().ranges() > 0;
  return call.store.budget().NewText(
      MarkedText(text, has_content ? TextMark::kContent : TextMark::kTemplate));
}

}  // namespace

absl::StatusOr<std::vector<const TemplateValue*>> BindArguments(
    const CallArguments& arguments,
    std::initializer_list<absl::string_view> parameters, size_t required) {
  std::vector<const TemplateValue*> bound(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return TemplateError(absl::StrCat("at most ", parameters.size(),
                                      " arguments are taken, ",
                                      arguments.positional.size(), " given"));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto* const found =
        std::find(parameters.begin(), parameters.end(), name);
    const auto place = static_cast<size_t>(found - parameters.begin());
    if (found == parameters.end() || bound[place] != nullptr) {
      return TemplateError(absl::StrCat(
          "the argument ", Quoted(name),
          found == parameters.end() ? " is not taken" : " is given twice"));
    }
    bound[place] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i] != nullptr) continue;
    absl::string_view name = parameters.begin()[i];
    absl::ConsumePrefix(&name, "/");
    return TemplateError(absl::StrCat("the argument '", name, "' is missing"));
  }
  return bound;
}

absl::StatusOr<TemplateValue> TemplateObject::Call(
    const CallArguments& /*arguments*/) {
  return TemplateError("this can not be called");
}

absl::StatusOr<std::optional<TemplateValue>> TemplateObject::Attribute(
    absl::string_view /*name*/) {
  return std::nullopt;
}

absl::Status TemplateObject::SetAttribute(absl::string_view /*name*/,
                                          const TemplateValue& /*value*/) {
  return TemplateError("attributes of namespaces only can be assigned");
}

absl::StatusOr<TemplateValue> ObjectStore::Add(
    std::unique_ptr<TemplateObject> object, size_t bytes) {
  TANDEM_RETURN_IF_ERROR(budget_.TakeObject(bytes + sizeof(object)));
  objects_.push_back(std::move(object));
  return TemplateValue::Object(objects_.back().get());
}

absl::StatusOr<std::optional<TemplateValue>> MakeGlobal(absl::string_view name,
                                                        const std::tm& now,
                                                        ObjectStore* store) {
  constexpr std::pair<absl::string_view, GlobalFunction> kGlobals[] = {
      {"range", &Range},          {"dict", &Dict},
      {"namespace", &Namespace},  {"cycler", &Cycler},
      {"joiner", &Joiner},        {"raise_exception", &RaiseException},
      {"strftime_now", &TimeNow},
  };
  for (const auto& [global, function] : kGlobals) {
    if (global != name) continue;
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value,
                            store->Add(std::make_unique<FunctionObject>(
                                           global, function, &now, store),
                                       sizeof(FunctionObject)));
    return value;
  }
  return std::nullopt;
}

}  // namespace tandem
