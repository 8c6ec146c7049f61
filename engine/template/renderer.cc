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

using Kind = Statement::Kind;
using ListKind = TemplateValue::ListKind;

// `loop`, within the body of a for.
class LoopObject : public TemplateObject {
 public:
  LoopObject(TemplateValue items, RenderBudget* budget)
      : items_(std::move(items)), budget_(*budget) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    return MarkedText(absl::StrCat("<LoopContext ", index_ + 1, "/",
                                   items_.items().size(), ">"),
                      TextMark::kTemplate);
  }
  bool is_callable() const override { return false; }
  absl::StatusOr<std::optional<TemplateValue>> Attribute(
      absl::string_view name) override;

  void set_index(size_t index) { index_ = index; }
  // Gives the items back; `loop` may be kept by a variable.
  void Finish() { items_ = TemplateValue::List({}); }

  // loop.cycle(...) and loop.changed(...).
  class Method : public TemplateObject {
   public:
    using Function =
        absl::StatusOr<TemplateValue> (LoopObject::*)(const CallArguments&);
    Method(LoopObject* loop, Function function)
        : loop_(*loop), function_(function) {}

    absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
      return loop_.Print(budget);
    }
    absl::StatusOr<TemplateValue> Call(
        const CallArguments& arguments) override {
      return (loop_.*function_)(arguments);
    }

   private:
    LoopObject& loop_;
    const Function function_;
  };

 private:
  absl::StatusOr<TemplateValue> Cycle(const CallArguments& arguments) {
    if (arguments.positional.empty()) {
      return TemplateError("loop.cycle() needs items");
    }
    return arguments.positional[index_ % arguments.positional.size()];
  }
  absl::StatusOr<TemplateValue> Changed(const CallArguments& arguments) {
    TANDEM_ASSIGN_OR_RETURN(
        TemplateValue now,
        budget_.NewList(arguments.positional, ListKind::kTuple));
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal, Equals(last_, now, budget_));
    if (!is_equal) last_ = std::move(now);
    return TemplateValue::Bool(!is_equal);
  }

  TemplateValue items_;
  RenderBudget& budget_;
  size_t index_ = 0;
  TemplateValue last_;  // of changed()
  Method cycle_{this, &LoopObject::Cycle};
  Method changed_{this, &LoopObject::Changed};
};

absl::StatusOr<std::optional<TemplateValue>> LoopObject::Attribute(
    absl::string_view name) {
  const auto count = static_cast<int64_t>(items_.items().size());
  const auto index = static_cast<int64_t>(index_);
  if (name == "index0") return TemplateValue::Integer(index);
  if (name == "index") return TemplateValue::Integer(index + 1);
  if (name == "revindex0") return TemplateValue::Integer(count - index - 1);
  if (name == "revindex") return TemplateValue::Integer(count - index);
  if (name == "first") return TemplateValue::Bool(index == 0);
  if (name == "last") return TemplateValue::Bool(index + 1 == count);
  if (name == "length") return TemplateValue::Integer(count);
  if (name == "depth") return TemplateValue::Integer(1);
  if (name == "depth0") return TemplateValue::Integer(0);
  if (name == "cycle") return TemplateValue::Object(&cycle_);
  if (name == "changed") return TemplateValue::Object(&changed_);
  if (name == "previtem") {
    if (index > 0 && index <= count) return items_.items()[index_ - 1];
    return TemplateValue::Undefined("there is no previous item");
  }
  if (name == "nextitem") {
    if (index + 1 < count) return items_.items()[index_ + 1];
    return TemplateValue::Undefined("there is no next item");
  }
  return std::nullopt;
}

class MacroObject : public TemplateObject {
 public:
  MacroObject(const Statement& macro, ScopePtr scope, Renderer* renderer)
      : macro_(macro), scope_(std::move(scope)), renderer_(*renderer) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    return MarkedText(absl::StrCat("<Macro '", macro_.name, "'>"),
                      TextMark::kTemplate);
  }
  absl::StatusOr<TemplateValue> Call(const CallArguments& arguments) override {
    return renderer_.CallMacro(macro_, scope_, arguments);
  }
  absl::StatusOr<std::optional<TemplateValue>> Attribute(
      absl::string_view name) override {
    if (name == "name") return TemplateValue::Text(macro_.name);
    return std::nullopt;
  }

 private:
  const Statement& macro_;
  const ScopePtr scope_;
  Renderer& renderer_;
};

}  // namespace

absl::StatusOr<MarkedText> Renderer::Render(
    const std::vector<Statement>& body) {
  TANDEM_RETURN_IF_ERROR(RunBody(body).status());
  return std::move(output_);
}

absl::Status Renderer::Write(const MarkedText& text) {
  TANDEM_RETURN_IF_ERROR(evaluator_.budget().CheckOutput(
      open_bytes_ + text.size(), open_ranges_ + text.ranges()));
  TANDEM_RETURN_IF_ERROR(evaluator_.budget().StepBytes(text.size()));
  const size_t ranges = output_.ranges();
  output_.Append(text);
  open_bytes_ += text.size();
  open_ranges_ += output_.ranges() - ranges;
  return absl::OkStatus();
}

absl::StatusOr<Renderer::Flow> Renderer::RunBody(
    const std::vector<Statement>& body) {
  for (const Statement& statement : body) {
    TANDEM_ASSIGN_OR_RETURN(const Flow flow, Run(statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Renderer::Flow> Renderer::Run(const Statement& statement) {
  const RenderBudget::Level level(&evaluator_.budget());
  absl::Status status = evaluator_.budget().CheckDepth();
  if (status.ok()) {
    absl::StatusOr<Flow> flow = RunKind(statement);
    if (flow.ok()) return flow;
    status = std::move(flow).status();
  }
  evaluator_.NoteError(statement.offset);
  return status;
}

absl::StatusOr<Renderer::Flow> Renderer::RunKind(const Statement& statement) {
  absl::Status status;
  switch (statement.kind) {
    case Kind::kText:
      status = Write(statement.text.text());
      break;
    case Kind::kOutput:
      status = RunOutput(statement);
      break;
    case Kind::kIf:
      return RunIf(statement);
    case Kind::kFor:
      return RunFor(statement);
    case Kind::kSet:
      status = RunSet(statement);
      break;
    case Kind::kSetBlock:
      status = RunSetBlock(statement);
      break;
    case Kind::kMacro:
      status = RunMacro(statement);
      break;
    case Kind::kCall:
      status = RunCall(statement);
      break;
    case Kind::kFilterBlock:
      status = RunFilterBlock(statement);
      break;
    case Kind::kWith:
      return RunWith(statement);
    case Kind::kScope:
      return RunInner(statement.body, evaluator_.InnerScope());
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
  }
  if (!status.ok()) return status;
  return Flow::kNext;
}

absl::StatusOr<Renderer::Flow> Renderer::RunInner(
    const std::vector<Statement>& body, ScopePtr scope) {
  ScopePtr outer = evaluator_.Enter(std::move(scope));
  absl::StatusOr<Flow> flow = RunBody(body);
  evaluator_.Enter(std::move(outer));
  return flow;
}

absl::StatusOr<TemplateValue> Renderer::Capture(
    const std::vector<Statement>& body, ScopePtr scope) {
  MarkedText outer = std::exchange(output_, MarkedText());
  const absl::StatusOr<Flow> flow = RunInner(body, std::move(scope));
  MarkedText captured = std::exchange(output_, std::move(outer));
  open_bytes_ -= captured.size();
  open_ranges_ -= captured.ranges();
  TANDEM_RETURN_IF_ERROR(flow.status());
  return evaluator_.budget().NewText(std::move(captured));
}

absl::Status Renderer::RunOutput(const Statement& statement) {
  for (const ExpressionPtr& expression : statement.expressions) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                            evaluator_.Evaluate(*expression));
    if (value.is_text()) {
      TANDEM_RETURN_IF_ERROR(Write(value.text()));
      continue;
    }
    TANDEM_ASSIGN_OR_RETURN(const MarkedText text,
                            TextOf(value, evaluator_.budget()));
    TANDEM_RETURN_IF_ERROR(Write(text));
  }
  return absl::OkStatus();
}

absl::StatusOr<Renderer::Flow> Renderer::RunIf(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue condition,
                            evaluator_.Evaluate(*branch.condition));
    if (IsTrue(condition)) return RunBody(branch.body);
  }
  return RunBody(statement.otherwise);
}

absl::StatusOr<TemplateValue> Renderer::LoopItems(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(TemplateValue all,
                          evaluator_.Evaluate(*statement.expressions[0]));
  if (statement.condition == nullptr && all.is_indexable()) return all;
  TANDEM_ASSIGN_OR_RETURN(std::vector<TemplateValue> items,
                          ItemsOf(all, evaluator_.budget()));
  if (statement.condition != nullptr) {
    std::vector<TemplateValue> chosen;
    for (TemplateValue& item : items) {
      ScopePtr outer = evaluator_.Enter(evaluator_.InnerScope());
      absl::Status status = Assign(statement.targets[0], item);
      absl::StatusOr<TemplateValue> condition = TemplateValue();
      if (status.ok()) condition = evaluator_.Evaluate(*statement.condition);
      evaluator_.Enter(std::move(outer));
      TANDEM_RETURN_IF_ERROR(status);
      TANDEM_RETURN_IF_ERROR(condition.status());
      if (IsTrue(*condition)) chosen.push_back(std::move(item));
    }
    items = std::move(chosen);
  }
  return evaluator_.budget().NewList(std::move(items));
}

absl::StatusOr<Renderer::Flow> Renderer::RunFor(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue items, LoopItems(statement));
  if (items.items().empty()) {
    return RunInner(statement.otherwise, evaluator_.InnerScope());
  }
  auto object = std::make_unique<LoopObject>(items, &evaluator_.budget());
  LoopObject& loop = *object;
  TANDEM_ASSIGN_OR_RETURN(
      const TemplateValue loop_value,
      evaluator_.store().Add(std::move(object), sizeof(LoopObject)));
  absl::Status status;
  for (size_t i = 0; i < items.items().size() && status.ok(); ++i) {
    loop.set_index(i);
    ScopePtr outer = evaluator_.Enter(evaluator_.InnerScope());
    status = Assign(statement.targets[0], items.items()[i]);
    evaluator_.scope()->Set("loop", loop_value);
    absl::StatusOr<Flow> flow = Flow::kNext;
    if (status.ok()) flow = RunBody(statement.body);
    evaluator_.Enter(std::move(outer));
    if (!flow.ok()) status = flow.status();
    if (flow.ok() && *flow == Flow::kBreak) break;
  }
  loop.Finish();
  if (!status.ok()) return status;
  return Flow::kNext;
}

absl::StatusOr<Renderer::Flow> Renderer::RunWith(const Statement& statement) {
  ScopePtr inner = evaluator_.InnerScope();
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value,
                            evaluator_.Evaluate(*statement.expressions[i]));
    TANDEM_RETURN_IF_ERROR(evaluator_.budget().StepVariables(i));
    inner->Set(statement.targets[i].name, std::move(value));
  }
  return RunInner(statement.body, std::move(inner));
}

absl::Status Renderer::Assign(const AssignTarget& target,
                              const TemplateValue& value) {
  RenderBudget& budget = evaluator_.budget();
  if (!target.attribute.empty()) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue space,
                            evaluator_.NameValue(target.name));
    if (space.is_object()) {
      return space.object()->SetAttribute(target.attribute, value);
    }
    return TemplateError(
        absl::StrCat("attributes of namespaces only can be assigned; '",
                     target.name, "' is ", KindName(space)));
  }
  if (target.items.empty()) {
    VariableScope& scope = *evaluator_.scope();
    TANDEM_RETURN_IF_ERROR(budget.Step());
    TANDEM_RETURN_IF_ERROR(budget.StepVariables(scope.variables.size()));
    scope.Set(target.name, value);
    return absl::OkStatus();
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateValue> items,
                          ItemsOf(value, budget));
  if (items.size() != target.items.size()) {
    return TemplateError(absl::StrCat(items.size(), " values for ",
                                      target.items.size(), " names"));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(Assign(target.items[i], items[i]));
  }
  return absl::OkStatus();
}

absl::Status Renderer::RunSet(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          evaluator_.Evaluate(*statement.expressions[0]));
  return Assign(statement.targets[0], value);
}

absl::Status Renderer::RunSetBlock(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(TemplateValue value,
                          Capture(statement.body, evaluator_.InnerScope()));
  if (!statement.expressions.empty()) {
    evaluator_.set_captured(std::move(value));
    TANDEM_ASSIGN_OR_RETURN(value,
                            evaluator_.Evaluate(*statement.expressions[0]));
  }
  return Assign(statement.targets[0], value);
}

absl::Status Renderer::RunFilterBlock(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(TemplateValue value,
                          Capture(statement.body, evaluator_.InnerScope()));
  evaluator_.set_captured(std::move(value));
  return RunOutput(statement);
}

absl::Status Renderer::RunMacro(const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(
      TemplateValue macro,
      evaluator_.store().Add(
          std::make_unique<MacroObject>(statement, evaluator_.scope(), this),
          sizeof(MacroObject)));
  VariableScope& scope = *evaluator_.scope();
  TANDEM_RETURN_IF_ERROR(
      evaluator_.budget().StepVariables(scope.variables.size()));
  scope.Set(statement.name, std::move(macro));
  return absl::OkStatus();
}

absl::Status Renderer::RunCall(const Statement& statement) {
  const Expression& call = *statement.expressions[0];
  TANDEM_ASSIGN_OR_RETURN(
      const TemplateValue caller,
      evaluator_.store().Add(
          std::make_unique<MacroObject>(statement, evaluator_.scope(), this),
          sizeof(MacroObject)));
  TANDEM_ASSIGN_OR_RETURN(CallArguments arguments, evaluator_.Arguments(call));
  arguments.named.emplace_back("caller", caller);
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          evaluator_.Call(call, arguments));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text,
                          TextOf(value, evaluator_.budget()));
  return Write(text);
}

// Sets the parameters in the current scope.
absl::Status Renderer::BindParameters(const Statement& macro,
                                      const CallArguments& arguments) {
  VariableScope& scope = *evaluator_.scope();
  const size_t count = macro.parameters.size();
  // Each argument and each parameter is looked for among the parameters.
  TANDEM_RETURN_IF_ERROR(evaluator_.budget().StepVariables(
      (count + arguments.positional.size() + arguments.named.size()) * count));
  const auto is_parameter = [&macro](absl::string_view name) {
    return std::any_of(
        macro.parameters.begin(), macro.parameters.end(),
        [name](const MacroParameter& other) { return other.name == name; });
  };
  std::vector<TemplateValue> more;
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      scope.Set(macro.parameters[i].name, arguments.positional[i]);
    } else {
      more.push_back(arguments.positional[i]);
    }
  }
  if (!more.empty() && !macro.takes_varargs) {
    return TemplateError(absl::StrCat("the macro '", macro.name,
                                      "' takes at most ", count, " arguments"));
  }
  TemplateValue caller = TemplateValue::Undefined("there is no caller");
  MapBuilder more_named(&evaluator_.budget());
  bool has_more_named = false;
  for (const auto& [name, value] : arguments.named) {
    if (is_parameter(name)) {
      if (scope.Find(name) != nullptr) {
        return TemplateError(
            absl::StrCat("the argument '", name, "' is given twice"));
      }
      scope.Set(name, value);
    } else if (name == "caller" && macro.takes_caller) {
      caller = value;
    } else if (!macro.takes_kwargs) {
      return TemplateError(absl::StrCat("the macro '", macro.name,
                                        "' takes no argument '", name, "'"));
    } else {
      has_more_named = true;
      TANDEM_RETURN_IF_ERROR(
          more_named.Set(TemplateValue::Content(name), value));
    }
  }
  if (macro.takes_caller && !is_parameter("caller")) {
    scope.Set("caller", caller);
  }
  if (macro.takes_varargs && !is_parameter("varargs")) {
    TANDEM_ASSIGN_OR_RETURN(
        TemplateValue list,
        evaluator_.budget().NewList(std::move(more), ListKind::kTuple));
    scope.Set("varargs", std::move(list));
  }
  if ((macro.takes_kwargs || has_more_named) && !is_parameter("kwargs")) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue map, more_named.Build());
    scope.Set("kwargs", std::move(map));
  }
  return BindDefaults(macro);
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
              TemplateValue::Undefined(absl::StrCat(
                  "the parameter '", parameter.name, "' is not given")));
  }
  for (const MacroParameter* parameter : absent) {
    if (parameter->default_value == nullptr) continue;
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value,
                            evaluator_.Evaluate(*parameter->default_value));
    scope.Set(parameter->name, std::move(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<TemplateValue> Renderer::CallMacro(
    const Statement& macro, const ScopePtr& scope,
    const CallArguments& arguments) {
  const RenderBudget::Level level(&evaluator_.budget());
  TANDEM_RETURN_IF_ERROR(evaluator_.budget().CheckDepth());
  ScopePtr outer = evaluator_.Enter(scope);
  ScopePtr inner = evaluator_.InnerScope();
  evaluator_.Enter(inner);
  absl::Status status = BindParameters(macro, arguments);
  absl::StatusOr<TemplateValue> text = TemplateValue();
  if (status.ok()) text = Capture(macro.body, std::move(inner));
  evaluator_.Enter(std::move(outer));
  TANDEM_RETURN_IF_ERROR(status);
  return text;
}

}  // namespace tandem
