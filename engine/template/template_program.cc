#include "engine/template/template_program.h"

#include "engine/base/status.h"
#include "engine/template/evaluator.h"
#include "engine/template/lexer.h"
#include "engine/template/render_budget.h"
#include "engine/template/renderer.h"
#include "engine/template/statement_parser.h"
#include "engine/template/syntax_tree.h"

namespace tandem {

TemplateProgram::TemplateProgram(std::unique_ptr<const TemplateSyntax> syntax)
    : syntax_(std::move(syntax)) {}

TemplateProgram::~TemplateProgram() = default;

absl::StatusOr<std::shared_ptr<const TemplateProgram>> TemplateProgram::Parse(
    absl::string_view source) {
  TANDEM_ASSIGN_OR_RETURN(TemplateSyntax syntax, ParseTemplate(source));
  return std::shared_ptr<const TemplateProgram>(new TemplateProgram(
      std::make_unique<const TemplateSyntax>(std::move(syntax))));
}

absl::StatusOr<std::vector<TextPart>> TemplateProgram::Render(
    const TemplateInput& input, const TemplateLimits& limits) const {
  for (const auto& [name, value] : input.variables) {
    if (DepthOf(value) <= kValueDepthMax) continue;
    return TemplateError("the value of '", name, "' is nested more than ",
                         kValueDepthMax, " levels deep");
  }
  // In this order, so that values end before the account of their memory.
  RenderBudget budget(limits);
  Evaluator evaluator(input, &budget);
  Renderer renderer(&evaluator);
  MarkedText text = renderer.Render(syntax_->body);
  if (budget.ok()) return std::move(text).Parts();
  return Annotate(
      budget.error(),
      TemplatePlace(syntax_->source, evaluator.error_offset().value_or(0)));
}

}  // namespace tandem
