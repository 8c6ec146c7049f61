#include "engine/template/renderer.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
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

  MarkedText Print(RenderBudget& budget) const override {
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
  Value Cycle(const CallArguments& arguments) {
    if (arguments.positional.empty()) {
      return budget_.Fail("loop.cycle() needs items");
    }
    return arguments.positional[index_ % arguments.positional.size()];
  }
  Value Changed(const CallArguments& arguments) {
    Value now = budget_.NewList(arguments.positional, ListKind::kTuple);
    const bool is_equal = Equals(last_, now, budget_);
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
  return absl::c_any_of(macro.parameters, [name](const MacroParameter& other) {
    return other.name == name;
  });
}

}  // namespace

MarkedText Renderer::Render(const std::vector<Statement>& body) {
  RunBody(body);
  return std::move(output_);
}

void Renderer::Write(const MarkedText& text) {
  if (!budget_.CheckOutput(open_bytes_ + text.size(),
                           open_ranges_ + text.ranges())) {
    return;
  }
  budget_.StepBytes(text.size());
  const size_t ranges = output_.ranges();
  output_.Append(text);
  open_bytes_ += text.size();
  open_ranges_ += output_.ranges() - ranges;
}

void Renderer::WriteValue(const Value& value) {
  if (value.is_text()) return Write(value.text());
  Write(TextOf(value, budget_));
}

void Renderer::WriteValues(const Statement& statement) {
  for (const ExpressionPtr& expression : statement.expressions) {
    WriteValue(evaluator_.Evaluate(*expression));
  }
}

void Renderer::RunBody(const std::vector<Statement>& body) {
  for (const Statement& statement : body) {
    Run(statement);
    if (flow_ != Flow::kNext || !budget_.ok()) break;
  }
}

void Renderer::RunInner(const std::vector<Statement>& body) {
  const Entry entry(&evaluator_, evaluator_.InnerScope());
  RunBody(body);
}

void Renderer::Run(const Statement& statement) {
  if (!budget_.ok()) return;
  const RenderBudget::Level level(&budget_);
  if (budget_.CheckDepth()) RunKind(statement);
  if (!budget_.ok()) evaluator_.NoteError(statement.offset);
}

void Renderer::RunKind(const Statement& statement) {
  switch (statement.kind) {
    case Kind::kText:
      return Write(statement.text.text());
    case Kind::kOutput:
      return WriteValues(statement);
    case Kind::kIf:
      return RunIf(statement);
    case Kind::kFor:
      return RunFor(statement);
    case Kind::kSet:
      return Assign(statement.targets[0],
                    evaluator_.Evaluate(*statement.expressions[0]));
    case Kind::kSetBlock:
      return RunSetBlock(statement);
    case Kind::kMacro:
      return AssignName(statement.name, NewMacro(statement));
    case Kind::kCall:
      return RunCall(statement);
    case Kind::kFilterBlock:
      evaluator_.set_captured(Capture(statement.body));
      return WriteValues(statement);
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
}

Value Renderer::Capture(const std::vector<Statement>& body) {
  MarkedText outer = std::exchange(output_, MarkedText());
  RunInner(body);
  MarkedText captured = std::exchange(output_, std::move(outer));
  open_bytes_ -= captured.size();
  open_ranges_ -= captured.ranges();
  return budget_.NewText(std::move(captured));
}

void Renderer::RunIf(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    if (IsTrue(evaluator_.Evaluate(*branch.condition))) {
      return RunBody(branch.body);
    }
  }
  RunBody(statement.otherwise);
}

Value Renderer::LoopItems(const Statement& statement) {
  Value all = evaluator_.Evaluate(*statement.expressions[0]);
  if (statement.condition == nullptr && IsIndexable(all)) return all;
  std::vector<Value> items = ItemsOf(all, budget_);
  if (statement.condition == nullptr) return budget_.NewList(std::move(items));
  std::vector<Value> chosen;
  for (Value& item : items) {
    if (!budget_.ok()) return {};
    const Entry entry(&evaluator_, evaluator_.InnerScope());
    Assign(statement.targets[0], item);
    if (IsTrue(evaluator_.Evaluate(*statement.condition))) {
      chosen.push_back(std::move(item));
    }
  }
  return budget_.NewList(std::move(chosen));
}

void Renderer::RunFor(const Statement& statement) {
  const Value items = LoopItems(statement);
  if (!budget_.ok()) return;
  if (items.items().empty()) return RunInner(statement.otherwise);
  auto object = std::make_unique<LoopObject>(items, &budget_);
  LoopObject& loop = *object;
  const Value loop_value =
      budget_.NewObject(std::move(object), sizeof(LoopObject));
  // After an error the loop may not be there.
  for (size_t i = 0; i < items.items().size() && budget_.ok(); ++i) {
    loop.set_index(i);
    const Entry entry(&evaluator_, evaluator_.InnerScope());
    Assign(statement.targets[0], items.items()[i]);
    evaluator_.scope()->Set("loop", loop_value);
    RunBody(statement.body);
    if (std::exchange(flow_, Flow::kNext) == Flow::kBreak) break;
  }
  if (budget_.ok()) loop.Finish();
}

void Renderer::RunWith(const Statement& statement) {
  const ScopePtr inner = evaluator_.InnerScope();
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    budget_.StepVariables(i);
    inner->Set(statement.targets[i].name,
               evaluator_.Evaluate(*statement.expressions[i]));
  }
  const Entry entry(&evaluator_, inner);
  RunBody(statement.body);
}

void Renderer::AssignName(absl::string_view name, const Value& value) {
  VariableScope& scope = *evaluator_.scope();
  budget_.Step();
  budget_.StepVariables(scope.variables.size());
  scope.Set(name, value);
  budget_.Check();
}

void Renderer::Assign(const AssignTarget& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value space = evaluator_.NameValue(target.name);
    if (space.is_object()) {
      return ObjectOf(space)->SetAttribute(target.attribute, value, budget_);
    }
    budget_.Fail("attributes of namespaces only can be assigned; '",
                 target.name, "' is ", KindName(space));
    return;
  }
  if (target.items.empty()) return AssignName(target.name, value);
  const std::vector<Value> items = ItemsOf(value, budget_);
  if (items.size() != target.items.size()) {
    budget_.Fail(absl::StrCat(items.size(), " values for ", target.items.size(),
                              " names"));
  }
  for (size_t i = 0; i < items.size() && budget_.ok(); ++i) {
    Assign(target.items[i], items[i]);
  }
}

void Renderer::RunSetBlock(const Statement& statement) {
  Value value = Capture(statement.body);
  if (!statement.expressions.empty()) {
    evaluator_.set_captured(std::move(value));
    value = evaluator_.Evaluate(*statement.expressions[0]);
  }
  Assign(statement.targets[0], value);
}

void Renderer::RunCall(const Statement& statement) {
  const Expression& call = *statement.expressions[0];
  const Value caller = NewMacro(statement);
  CallArguments arguments = evaluator_.Arguments(call);
  arguments.named.emplace_back("caller", caller);
  WriteValue(evaluator_.Call(call, arguments));
}

Value Renderer::NewMacro(const Statement& macro) {
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
void Renderer::BindParameters(const Statement& macro,
                              const CallArguments& arguments) {
  VariableScope& scope = *evaluator_.scope();
  const size_t count = macro.parameters.size();
  // Each argument and each parameter is looked for among the parameters.
  budget_.StepVariables(
      (count + arguments.positional.size() + arguments.named.size()) * count);
  if (!budget_.Check()) return;
  std::vector<Value> more;
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      scope.Set(macro.parameters[i].name, arguments.positional[i]);
    } else {
      more.push_back(arguments.positional[i]);
    }
  }
  if (!more.empty() && !macro.takes_varargs) {
    budget_.Fail("the macro '", macro.name, "' takes at most ", count,
                 " arguments");
  }
  BindNamed(macro, arguments);
  if (macro.takes_varargs && !IsParameter(macro, "varargs")) {
    scope.Set("varargs", budget_.NewList(std::move(more), ListKind::kTuple));
  }
  BindDefaults(macro);
}

void Renderer::BindNamed(const Statement& macro,
                         const CallArguments& arguments) {
  VariableScope& scope = *evaluator_.scope();
  Value caller = Value::Undefined("there is no caller");
  MapBuilder more(&budget_);
  for (const auto& [name, value] : arguments.named) {
    if (IsParameter(macro, name)) {
      if (scope.Find(name) != nullptr) {
        budget_.Fail("the argument '", name, "' is given twice");
      }
      scope.Set(name, value);
    } else if (name == "caller" && macro.takes_caller) {
      caller = value;
    } else if (!macro.takes_kwargs) {
      budget_.Fail("the macro '", macro.name, "' takes no argument '", name,
                   "'");
    } else {
      more.Set(Value::Content(name), value);
    }
  }
  if (macro.takes_caller && !IsParameter(macro, "caller")) {
    scope.Set("caller", caller);
  }
  if (macro.takes_kwargs && !IsParameter(macro, "kwargs")) {
    scope.Set("kwargs", more.Build());
  }
}

// Sets the parameters that no argument has set. A default may speak of any
// parameter; one that is not yet set is undefined.
void Renderer::BindDefaults(const Statement& macro) {
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
    scope.Set(parameter->name, evaluator_.Evaluate(*parameter->default_value));
  }
}

Value Renderer::CallMacro(const Statement& macro, const ScopePtr& scope,
                          const CallArguments& arguments) {
  const RenderBudget::Level level(&budget_);
  if (!budget_.CheckDepth()) return {};
  const Entry outer(&evaluator_, scope);
  const Entry inner(&evaluator_, evaluator_.InnerScope());
  BindParameters(macro, arguments);
  return Capture(macro.body);
}

}  // namespace tandem
