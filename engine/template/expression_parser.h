// Expressions of the template language, from tokens to a tree. Filters and
// tests are looked up here, so that an unknown one is told before anything
// runs. One thread.

#ifndef TANDEM_ENGINE_TEMPLATE_EXPRESSION_PARSER_H_
#define TANDEM_ENGINE_TEMPLATE_EXPRESSION_PARSER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/lexer.h"
#include "engine/template/syntax_tree.h"

namespace tandem {

class ExpressionParser {
 public:
  // Whether `a if b else c` may stand without brackets.
  enum class Conditions { kAllowed, kExcluded };

  // `tokens` outlives the parser.
  explicit ExpressionParser(TokenStream* tokens) : tokens_(*tokens) {}

  absl::StatusOr<ExpressionPtr> Parse(
      Conditions conditions = Conditions::kAllowed);
  // One expression, or a tuple of those that commas part.
  absl::StatusOr<ExpressionPtr> ParseTuple(Conditions conditions);
  // Filters: `name` or `name(arguments)`, more after '|', of what a body has
  // put out.
  absl::StatusOr<ExpressionPtr> ParseCapturedFilters();

  // Whether `name` stands for a constant, such as true.
  static bool IsConstantName(absl::string_view name);

 private:
  absl::StatusOr<ExpressionPtr> ParseCondition();
  absl::StatusOr<ExpressionPtr> ParseOr();
  absl::StatusOr<ExpressionPtr> ParseAnd();
  absl::StatusOr<ExpressionPtr> ParseNot();
  absl::StatusOr<ExpressionPtr> ParseCompare();
  // Whether a comparison follows; its words are then read.
  bool ReadComparison(Comparison* comparison);
  absl::StatusOr<ExpressionPtr> ParseSum();
  absl::StatusOr<ExpressionPtr> ParseConcat();
  absl::StatusOr<ExpressionPtr> ParseProduct();
  absl::StatusOr<ExpressionPtr> ParsePower();
  absl::StatusOr<ExpressionPtr> ParseUnary();
  absl::StatusOr<ExpressionPtr> ParseSigned();
  absl::StatusOr<ExpressionPtr> ParsePrimary();
  absl::StatusOr<ExpressionPtr> ParseString();
  absl::StatusOr<ExpressionPtr> ParseBracketed();
  absl::StatusOr<ExpressionPtr> ParseList();
  absl::StatusOr<ExpressionPtr> ParseMap();
  absl::StatusOr<ExpressionPtr> ParsePostfix(ExpressionPtr expression);
  absl::StatusOr<ExpressionPtr> ParseFilters(ExpressionPtr expression);
  absl::StatusOr<ExpressionPtr> ParseAttribute(ExpressionPtr target);
  absl::StatusOr<ExpressionPtr> ParseItem(ExpressionPtr target);
  absl::StatusOr<ExpressionPtr> ParseSubscript();
  absl::StatusOr<ExpressionPtr> ParseCall(ExpressionPtr callee);
  absl::StatusOr<ExpressionPtr> ParseFilter(ExpressionPtr value);
  absl::StatusOr<ExpressionPtr> ParseTest(ExpressionPtr value);
  absl::Status ParseArguments(Expression* call);
  absl::Status ParseArgument(Expression* call);
  absl::StatusOr<std::string> ParseDottedName(absl::string_view what);
  bool IsTupleEnd() const;

  ExpressionPtr New(Expression::Kind kind) const;
  ExpressionPtr NewAt(Expression::Kind kind, size_t offset) const;
  // Checks the depth of `expression`.
  absl::StatusOr<ExpressionPtr> Finish(ExpressionPtr expression) const;
  absl::StatusOr<ExpressionPtr> Unary(Expression::Kind kind, size_t offset,
                                      ExpressionPtr operand) const;
  absl::StatusOr<ExpressionPtr> Binary(BinaryOperator operation, size_t offset,
                                       ExpressionPtr left,
                                       ExpressionPtr right) const;

  TokenStream& tokens_;
  int nesting_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_EXPRESSION_PARSER_H_
