// Runs the statements of a template and collects what they put out. Belongs to
// one render and its thread.

#ifndef TANDEM_ENGINE_TEMPLATE_RENDERER_H_
#define TANDEM_ENGINE_TEMPLATE_RENDERER_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/template/evaluator.h"
#include "engine/template/marked_text.h"
#include "engine/template/syntax_tree.h"

namespace tandem {

class Renderer {
 public:
  // `evaluator` outlives the renderer.
  explicit Renderer(Evaluator* evaluator) : evaluator_(*evaluator) {}

  // What the statements put out.
  absl::StatusOr<MarkedText> Render(const std::vector<Statement>& body);

  // What the body of `macro` puts out in a scope within `scope`.
  absl::StatusOr<TemplateValue> CallMacro(const Statement& macro,
                                          const ScopePtr& scope,
                                          const CallArguments& arguments);

 private:
  // What comes after a statement.
  enum class Flow { kNext, kBreak, kContinue };

  absl::StatusOr<Flow> RunBody(const std::vector<Statement>& body);
  absl::StatusOr<Flow> Run(const Statement& statement);
  absl::StatusOr<Flow> RunKind(const Statement& statement);
  absl::StatusOr<Flow> RunIf(const Statement& statement);
  absl::StatusOr<Flow> RunFor(const Statement& statement);
  absl::StatusOr<Flow> RunWith(const Statement& statement);
  // The body in a scope of its own.
  absl::StatusOr<Flow> RunInner(const std::vector<Statement>& body,
                                ScopePtr scope);
  absl::Status RunOutput(const Statement& statement);
  absl::Status RunSet(const Statement& statement);
  absl::Status RunSetBlock(const Statement& statement);
  absl::Status RunMacro(const Statement& statement);
  absl::Status RunCall(const Statement& statement);
  absl::Status RunFilterBlock(const Statement& statement);
  // What a loop goes over, with its condition.
  absl::StatusOr<TemplateValue> LoopItems(const Statement& statement);
  absl::Status BindParameters(const Statement& macro,
                              const CallArguments& arguments);
  absl::Status BindDefaults(const Statement& macro);

  // What the body puts out in `scope`, as a value.
  absl::StatusOr<TemplateValue> Capture(const std::vector<Statement>& body,
                                        ScopePtr scope);
  absl::Status Assign(const AssignTarget& target, const TemplateValue& value);
  absl::Status Write(const MarkedText& text);

  Evaluator& evaluator_;
  MarkedText output_;
  // Bytes and pieces of content of this output and of those that wait for it to
  // end.
  size_t open_bytes_ = 0;
  size_t open_ranges_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_RENDERER_H_
