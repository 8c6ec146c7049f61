#include "engine/template/renderer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/containers.h"
#include "engine/template/operators.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Kind = Statement::Kind;
using ListKind = Value::ListKind;

// `loop`, within the body of a for.
class LoopObject : public TemplateObject {
 public:
  LoopObject(Value items, RenderBudget* budget)
      : TemplateObject(""), items_(std::move(items)), budget_(*budget) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    budget.Step();
    return MarkedText(absl::StrCat("<LoopContext ", index_ + 1, "/",
                                   items_.items().size(), ">"),
                      TextMark::kTemplate);
  }
  std::optional<Value> Attribute(absl::string_view name) override;

  void set_index(size_t index) { index_ = index; }
  // Gives the items back; `loop` may be kept by a variable.
  void Finish() { items_ = Value::List({}); }

 private:
  ValueOr Cycle(const CallArguments& arguments) {
    if (arguments.positional.empty()) {
      return TemplateError("loop.cycle() needs items");
    }
    return arguments.positional[index_ % arguments.positional.size()];
  }
  ValueOr Changed(const CallArguments& arguments) {
    TANDEM_ASSIGN_OR_RETURN(
        Value now, budget_.NewList(arguments.positional, ListKind::kTuple));
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal, Equals(last_, now, budget_));
    if (!is_equal) last_ = std::move(now);
    return Value::Bool(!is_equal);
  }

  Value items_;
  RenderBudget& budget_;
  size_t index_ = 0;
  Value last_;  // of changed()
  TemplateObject cycle_{"<loop.cycle>", [this](const CallArguments& arguments) {
                          return Cycle(arguments);
                        }};
  TemplateObject changed_{
      "<loop.changed>",
      [this](const CallArguments& arguments) { return Changed(arguments); }};
};

std::optional<Value> LoopObject::Attribute(absl::string_view name) {
  const auto count = static_cast<int64_t>(items_.items().size());
  const auto index = static_cast<int64_t>(index_);
  if (name == "index0") return Value::Integer(index);
  if (name == "index") return Value::Integer(index + 1);
  if (name == "revindex0") return Value::Integer(count - index - 1);
  if (name == "revindex") return Value::Integer(count - index);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "last") return Value::Bool(index + 1 == count);
  if (name == "length") return Value::Integer(count);
  if (name == "depth") return Value::Integer(1);
  if (name == "depth0") return Value::Integer(0);
  if (name == "cycle") return Value(&cycle_);
  if (name == "changed") return Value(&changed_);
  if (name == "previtem") {
    if (index > 0 && index <= count) return items_.items()[index_ - 1];
    return Value::Undefined("there is no previous item");
  }
  if (name == "nextitem") {
    if (index + 1 < count) return items_.items()[index_ + 1];
    return Value::Undefined("there is no next item");
  }
  return std::nullopt;
}

// Makes a scope the current one for as long as this lives.
class Entry {
 public:
  Entry(Evaluator* evaluator, ScopePtr scope)
      : evaluator_(*evaluator), outer_(evaluator->Enter(std::move(scope))) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() { evaluator_.Enter(std::move(outer_)); }

 private:
  Evaluator& evaluator_;
  ScopePtr outer_;
};

bool IsParameter(const Statement& macro, absl::string_view name) {
  return std::any_of(
      macro.parameters.begin(), macro.parameters.end(),
      [name](const MacroParameter& other) { return other.name == name; });
}

}  // namespace

absl::StatusOr<MarkedText> Renderer::Render(
    const std::vector<Statement>& body) {
  TANDEM_RETURN_IF_ERROR(RunBody(body));
  return std::move(output_);
}

absl::Status Renderer::Write(const MarkedText& text) {
  TANDEM_RETURN_IF_ERROR(budget_.CheckOutput(open_bytes_ + text.size(),
                                             open_ranges_ + text.ranges()));
  budget_.StepBytes(text.size());
  const size_t ranges = output_.ranges();
  output_.Append(text);
  open_bytes_ += text.size();
  open_ranges_ += output_.ranges() - ranges;
  return absl::OkStatus();
}

absl::Status Renderer::WriteValue(const Value& value) {
  if (value.is_text()) return Write(value.text());
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget_));
  return Write(text);
}

absl::Status Renderer::WriteValues(const Statement& statement) {
  for (const ExpressionPtr& expression : statement.expressions) {
    TANDEM_ASSIGN_OR_RETURN(const Value value,
                            evaluator_.Evaluate(*expression));
    TANDEM_RETURN_IF_ERROR(WriteValue(value));
  }
  return absl::OkStatus();
}

absl::Status Renderer::RunBody(const std::vector<Statement>& body) {
  for (const Statement& statement : body) {
    TANDEM_RETURN_IF_ERROR(Run(statement));
    if (flow_ != Flow::kNext) break;
  }
  return absl::OkStatus();
}

absl::Status Renderer::RunInner(const std::vector<Statement>& body) {
  const Entry entry(&evaluator_, evaluator_.InnerScope());
  return RunBody(body);
}

absl::Status Renderer::Run(const Statement& statement) {
  const RenderBudget::Level level(&budget_);
  absl::Status status = budget_.CheckDepth();
  if (status.ok()) status = RunKind(statement);
  if (!status.ok()) evaluator_.NoteError(statement.offset);
  return status;
}

absl::Status Renderer::RunKind(const Statement& statement) {
  switch (statement.kind) {
    case Kind::kText:
      return Write(statement.text.text());
    case Kind::kOutput:
      return WriteValues(statement);
    case Kind::kIf:
      return RunIf(statement);
    case Kind::kFor:
      return RunFor(statement);
    case Kind::kSet: {
      TANDEM_ASSIGN_OR_RETURN(const Value value,
                              evaluator_.Evaluate(*statement.expressions[0]));
      return Assign(statement.targets[0], value);
    }
    case Kind::kSetBlock:
      return RunSetBlock(statement);
    case Kind::kMacro: {
      TANDEM_ASSIGN_OR_RETURN(const Value macro, NewMacro(statement));
      return AssignName(statement.name, macro);
    }
    case Kind::kCall:
      return RunCall(statement);
    case Kind::kFilterBlock: {
      TANDEM_ASSIGN_OR_RETURN(Value text, Capture(statement.body));
      evaluator_.set_captured(std::move(text));
      return WriteValues(statement);
    }
    case Kind::kWith:
      return RunWith(statement);
    case Kind::kScope:
      return RunInner(statement.body);
    case Kind::kBreak:
      flow_ = Flow::kBreak;
      break;
    case Kind::kContinue:
      flow_ = Flow::kContinue;
  }
  return absl::OkStatus();
}

ValueOr Renderer::Capture(const std::vector<Statement>& body) {
  MarkedText outer = std::exchange(output_, MarkedText());
  const absl::Status status = RunInner(body);
  MarkedText captured = std::exchange(output_, std::move(outer));
  open_bytes_ -= captured.size();
  open_ranges_ -= captured.ranges();
  TANDEM_RETURN_IF_ERROR(status);
  return budget_.NewText(std::move(captured));
}

absl::Status Renderer::RunIf(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    TANDEM_ASSIGN_OR_RETURN(const Value condition,
                            evaluator_.Evaluate(*branch.condition));
    if (IsTrue(condition)) return RunBody(branch.body);
  }
  return RunBody(statement.otherwise);
}

ValueOr Renderer::LoopItems(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(Value all,
                          evaluator_.Evaluate(*statement.expressions[0]));
  if (statement.condition == nullptr && IsIndexable(all)) return all;
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> items, ItemsOf(all, budget_));
  if (statement.condition == nullptr) return budget_.NewList(std::move(items));
  std::vector<Value> chosen;
  for (Value& item : items) {
    const Entry entry(&evaluator_, evaluator_.InnerScope());
    TANDEM_RETURN_IF_ERROR(Assign(statement.targets[0], item));
    TANDEM_ASSIGN_OR_RETURN(const Value condition,
                            evaluator_.Evaluate(*statement.condition));
    if (IsTrue(condition)) chosen.push_back(std::move(item));
  }
  return budget_.NewList(std::move(chosen));
}

absl::Status Renderer::RunFor(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(const Value items, LoopItems(statement));
  if (items.items().empty()) return RunInner(statement.otherwise);
  auto object = std::make_unique<LoopObject>(items, &budget_);
  LoopObject& loop = *object;
  TANDEM_ASSIGN_OR_RETURN(
      const Value loop_value,
      budget_.NewObject(std::move(object), sizeof(LoopObject)));
  for (size_t i = 0; i < items.items().size(); ++i) {
    loop.set_index(i);
    const Entry entry(&evaluator_, evaluator_.InnerScope());
    TANDEM_RETURN_IF_ERROR(Assign(statement.targets[0], items.items()[i]));
    evaluator_.scope()->Set("loop", loop_value);
    TANDEM_RETURN_IF_ERROR(RunBody(statement.body));
    if (std::exchange(flow_, Flow::kNext) == Flow::kBreak) break;
  }
  loop.Finish();
  return absl::OkStatus();
}

absl::Status Renderer::RunWith(const Statement& statement) {
  const ScopePtr inner = evaluator_.InnerScope();
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(Value value,
                            evaluator_.Evaluate(*statement.expressions[i]));
    budget_.StepVariables(i);
    inner->Set(statement.targets[i].name, std::move(value));
  }
  const Entry entry(&evaluator_, inner);
  return RunBody(statement.body);
}

absl::Status Renderer::AssignName(absl::string_view name, const Value& value) {
  VariableScope& scope = *evaluator_.scope();
  budget_.Step();
  budget_.StepVariables(scope.variables.size());
  scope.Set(name, value);
  return budget_.Check();
}

absl::Status Renderer::Assign(const AssignTarget& target, const Value& value) {
  if (!target.attribute.empty()) {
    TANDEM_ASSIGN_OR_RETURN(const Value space,
                            evaluator_.NameValue(target.name));
    if (space.is_object()) {
      return ObjectOf(space)->SetAttribute(target.attribute, value);
    }
    return TemplateError("attributes of namespaces only can be assigned; '",
                         target.name, "' is ", KindName(space));
  }
  if (target.items.empty()) return AssignName(target.name, value);
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> items,
                          ItemsOf(value, budget_));
  if (items.size() != target.items.size()) {
    return TemplateError(absl::StrCat(items.size(), " values for ",
                                      target.items.size(), " names"));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(Assign(target.items[i], items[i]));
  }
  return absl::OkStatus();
}

absl::Status Renderer::RunSetBlock(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(Value value, Capture(statement.body));
  if (!statement.expressions.empty()) {
    evaluator_.set_captured(std::move(value));
    TANDEM_ASSIGN_OR_RETURN(value,
                            evaluator_.Evaluate(*statement.expressions[0]));
  }
  return Assign(statement.targets[0], value);
}

absl::Status Renderer::RunCall(const Statement& statement) {
  const Expression& call = *statement.expressions[0];
  TANDEM_ASSIGN_OR_RETURN(const Value caller, NewMacro(statement));
  TANDEM_ASSIGN_OR_RETURN(CallArguments arguments, evaluator_.Arguments(call));
  arguments.named.emplace_back("caller", caller);
  TANDEM_ASSIGN_OR_RETURN(const Value value, evaluator_.Call(call, arguments));
  return WriteValue(value);
}

ValueOr Renderer::NewMacro(const Statement& macro) {
  const auto call = [this, &macro, scope = evaluator_.scope()](
                        const CallArguments& arguments) {
    return CallMacro(macro, scope, arguments);
  };
  return budget_.NewObject(
      std::make_unique<TemplateObject>(
          absl::StrCat("<Macro '", macro.name, "'>"), call),
      sizeof(TemplateObject) + sizeof(call) + macro.name.size());
}

// Sets the parameters in the current scope.
absl::Status Renderer::BindParameters(const Statement& macro,
                                      const CallArguments& arguments) {
  VariableScope& scope = *evaluator_.scope();
  const size_t count = macro.parameters.size();
  // Each argument and each parameter is looked for among the parameters.
  budget_.StepVariables(
      (count + arguments.positional.size() + arguments.named.size()) * count);
  TANDEM_RETURN_IF_ERROR(budget_.Check());
  std::vector<Value> more;
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      scope.Set(macro.parameters[i].name, arguments.positional[i]);
    } else {
      more.push_back(arguments.positional[i]);
    }
  }
  if (!more.empty() && !macro.takes_varargs) {
    return TemplateError("the macro '", macro.name, "' takes at most ", count,
                         " arguments");
  }
  TANDEM_RETURN_IF_ERROR(BindNamed(macro, arguments));
  if (macro.takes_varargs && !IsParameter(macro, "varargs")) {
    TANDEM_ASSIGN_OR_RETURN(Value list,
                            budget_.NewList(std::move(more), ListKind::kTuple));
    scope.Set("varargs", std::move(list));
  }
  return BindDefaults(macro);
}

absl::Status Renderer::BindNamed(const Statement& macro,
                                 const CallArguments& arguments) {
  VariableScope& scope = *evaluator_.scope();
  Value caller = Value::Undefined("there is no caller");
  MapBuilder more(&budget_);
  for (const auto& [name, value] : arguments.named) {
    if (IsParameter(macro, name)) {
      if (scope.Find(name) != nullptr) {
        return TemplateError("the argument '", name, "' is given twice");
      }
      scope.Set(name, value);
    } else if (name == "caller" && macro.takes_caller) {
      caller = value;
    } else if (!macro.takes_kwargs) {
      return TemplateError("the macro '", macro.name, "' takes no argument '",
                           name, "'");
    } else {
      TANDEM_RETURN_IF_ERROR(more.Set(Value::Content(name), value));
    }
  }
  if (macro.takes_caller && !IsParameter(macro, "caller")) {
    scope.Set("caller", caller);
  }
  if (macro.takes_kwargs && !IsParameter(macro, "kwargs")) {
    TANDEM_ASSIGN_OR_RETURN(Value map, more.Build());
    scope.Set("kwargs", std::move(map));
  }
  return absl::OkStatus();
}

// Sets the parameters that no argument has set. A default may speak of any
// parameter; one that is not yet set is undefined.
absl::Status Renderer::BindDefaults(const Statement& macro) {
  VariableScope& scope = *evaluator_.scope();
  std::vector<const MacroParameter*> absent;
  for (const MacroParameter& parameter : macro.parameters) {
    if (scope.Find(parameter.name) != nullptr) continue;
    absent.push_back(&parameter);
    scope.Set(parameter.name,
              Value::Undefined(absl::StrCat("the parameter '", parameter.name,
                                            "' is not given")));
  }
  for (const MacroParameter* parameter : absent) {
    if (parameter->default_value == nullptr) continue;
    TANDEM_ASSIGN_OR_RETURN(Value value,
                            evaluator_.Evaluate(*parameter->default_value));
    scope.Set(parameter->name, std::move(value));
  }
  return absl::OkStatus();
}

ValueOr Renderer::CallMacro(const Statement& macro, const ScopePtr& scope,
                            const CallArguments& arguments) {
  const RenderBudget::Level level(&budget_);
  TANDEM_RETURN_IF_ERROR(budget_.CheckDepth());
  const Entry outer(&evaluator_, scope);
  const Entry inner(&evaluator_, evaluator_.InnerScope());
  TANDEM_RETURN_IF_ERROR(BindParameters(macro, arguments));
  return Capture(macro.body);
}

}  // namespace tandem
