// Runs the statements of a template and collects what they put out. Belongs to
// one render and its thread.

#ifndef TANDEM_ENGINE_TEMPLATE_RENDERER_H_
#define TANDEM_ENGINE_TEMPLATE_RENDERER_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/template/evaluator.h"
#include "engine/template/marked_text.h"
#include "engine/template/syntax_tree.h"

namespace tandem {

class Renderer {
 public:
  // `evaluator` outlives the renderer.
  explicit Renderer(Evaluator* evaluator)
      : evaluator_(*evaluator), budget_(evaluator->budget()) {}

  // What the statements put out, unless there is an error (RenderBudget::ok).
  MarkedText Render(const std::vector<Statement>& body);

 private:
  // What comes after a statement.
  enum class Flow { kNext, kBreak, kContinue };

  // Ends early where a statement sets `flow_`.
  void RunBody(const std::vector<Statement>& body);
  // The body in a scope within the current one.
  void RunInner(const std::vector<Statement>& body);
  void Run(const Statement& statement);
  void RunKind(const Statement& statement);
  void RunIf(const Statement& statement);
  void RunFor(const Statement& statement);
  void RunWith(const Statement& statement);
  void RunSetBlock(const Statement& statement);
  void RunCall(const Statement& statement);
  // What a loop goes over, with its condition.
  TemplateValue LoopItems(const Statement& statement);
  // The function that a macro or the body of a call is.
  TemplateValue NewMacro(const Statement& macro);
  // What the body of `macro` puts out in a scope within `scope`.
  TemplateValue CallMacro(const Statement& macro, const ScopePtr& scope,
                          const CallArguments& arguments);
  void BindParameters(const Statement& macro, const CallArguments& arguments);
  void BindNamed(const Statement& macro, const CallArguments& arguments);
  void BindDefaults(const Statement& macro);

  // What the body puts out in a scope within the current one, as a value.
  TemplateValue Capture(const std::vector<Statement>& body);
  void Assign(const AssignTarget& target, const TemplateValue& value);
  void AssignName(absl::string_view name, const TemplateValue& value);
  void Write(const MarkedText& text);
  // The values of the statement's expressions.
  void WriteValues(const Statement& statement);
  void WriteValue(const TemplateValue& value);

  Evaluator& evaluator_;
  RenderBudget& budget_;
  Flow flow_ = Flow::kNext;
  MarkedText output_;
  // Bytes and pieces of content of this output and of those that wait for it to
  // end.
  size_t open_bytes_ = 0;
  size_t open_ranges_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_RENDERER_H_
