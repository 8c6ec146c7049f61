// Expressions of the template language, from tokens to a tree. Filters and
// tests are looked up here, so that an unknown one is an error before anything
// runs. What is wrong is noted in the stream of tokens (lexer.h), and no result
// is null. One thread.

#ifndef TANDEM_ENGINE_TEMPLATE_EXPRESSION_PARSER_H_
#define TANDEM_ENGINE_TEMPLATE_EXPRESSION_PARSER_H_

#include <string>

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

  ExpressionPtr Parse(Conditions conditions = Conditions::kAllowed);
  // One expression, or a tuple of those that commas part.
  ExpressionPtr ParseTuple(Conditions conditions = Conditions::kAllowed);
  // Filters: `name` or `name(arguments)`, more after '|', of what a body has
  // put out.
  ExpressionPtr ParseCapturedFilters();

  // Whether `name` stands for a constant, such as true.
  static bool IsConstantName(absl::string_view name);

 private:
  ExpressionPtr ParseCondition();
  // Operators that bind as tightly as `level` or tighter.
  ExpressionPtr ParseOperators(int level);
  // A value with its signs, and without its filters: -x|abs is (-x)|abs.
  ExpressionPtr ParseSigned();
  ExpressionPtr ParsePrimary();
  ExpressionPtr ParseBracketed();
  // Items, with keys where `list` is a map, up to `close`.
  ExpressionPtr ParseItems(ExpressionPtr list, absl::string_view close);
  ExpressionPtr ParsePostfix(ExpressionPtr value);
  ExpressionPtr ParseFilters(ExpressionPtr value);
  ExpressionPtr ParseAttribute(ExpressionPtr target);
  ExpressionPtr ParseItem(ExpressionPtr target);
  ExpressionPtr ParseSubscript();
  ExpressionPtr ParseCall(ExpressionPtr callee);
  ExpressionPtr ParseFilter(ExpressionPtr value);
  ExpressionPtr ParseTest(ExpressionPtr value);
  void ParseArguments(Expression* call);
  void ParseArgument(Expression* call);
  std::string ParseDottedName(absl::string_view what);

  // An expression at the current token.
  ExpressionPtr New(Expression::Kind kind) const;
  ExpressionPtr NewUnary(Expression::Kind kind, size_t offset,
                         ExpressionPtr operand);
  // Notes the depth of `expression`; an error where it is too large.
  ExpressionPtr Finish(ExpressionPtr expression);

  TokenStream& tokens_;
  int nesting_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_EXPRESSION_PARSER_H_
