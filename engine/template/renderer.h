// Runs the statements of a template and collects what they put out. Belongs to
// one render and its thread.

#ifndef TANDEM_ENGINE_TEMPLATE_RENDERER_H_
#define TANDEM_ENGINE_TEMPLATE_RENDERER_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

  // What the statements put out.
  absl::StatusOr<MarkedText> Render(const std::vector<Statement>& body);

 private:
  // What comes after a statement.
  enum class Flow { kNext, kBreak, kContinue };

  // Ends early where a statement sets `flow_`.
  absl::Status RunBody(const std::vector<Statement>& body);
  // The body in a scope within the current one.
  absl::Status RunInner(const std::vector<Statement>& body);
  absl::Status Run(const Statement& statement);
  absl::Status RunKind(const Statement& statement);
  absl::Status RunIf(const Statement& statement);
  absl::Status RunFor(const Statement& statement);
  absl::Status RunWith(const Statement& statement);
  absl::Status RunSetBlock(const Statement& statement);
  absl::Status RunCall(const Statement& statement);
  // What a loop goes over, with its condition.
  ValueOr LoopItems(const Statement& statement);
  // The function that a macro or the body of a call is.
  ValueOr NewMacro(const Statement& macro);
  // What the body of `macro` puts out in a scope within `scope`.
  ValueOr CallMacro(const Statement& macro, const ScopePtr& scope,
                    const CallArguments& arguments);
  absl::Status BindParameters(const Statement& macro,
                              const CallArguments& arguments);
  absl::Status BindNamed(const Statement& macro,
                         const CallArguments& arguments);
  absl::Status BindDefaults(const Statement& macro);

  // What the body puts out in a scope within the current one, as a value.
  ValueOr Capture(const std::vector<Statement>& body);
  absl::Status Assign(const AssignTarget& target, const TemplateValue& value);
  absl::Status AssignName(absl::string_view name, const TemplateValue& value);
  absl::Status Write(const MarkedText& text);
  // The values of the statement's expressions.
  absl::Status WriteValues(const Statement& statement);
  absl::Status WriteValue(const TemplateValue& value);

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
