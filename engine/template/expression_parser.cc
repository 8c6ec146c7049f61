#include "engine/template/expression_parser.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/template/render_budget.h"

namespace tandem {
namespace {

using Kind = Expression::Kind;
using TokenKind = TemplateToken::Kind;

// How tightly operators bind; the loosest first.
enum Level { kOrLevel, kAndLevel, kNotLevel, kCompareLevel, kSumLevel };
constexpr int kConcatLevel = kSumLevel + 1;
constexpr int kProductLevel = kSumLevel + 2;
constexpr int kPowerLevel = kSumLevel + 3;

struct OperatorRule {
  int level;
  Kind kind;
  absl::string_view text;
  BinaryOperator binary = BinaryOperator::kAdd;  // where kind is kBinary
  Comparison comparison = Comparison::kEqual;    // where kind is kCompare
};

constexpr OperatorRule Compares(absl::string_view text, Comparison meaning) {
  return {kCompareLevel, Kind::kCompare, text, BinaryOperator::kAdd, meaning};
}

constexpr OperatorRule kOperators[] = {
    {kOrLevel, Kind::kOr, "or"},
    {kAndLevel, Kind::kAnd, "and"},
    Compares("==", Comparison::kEqual),
    Compares("!=", Comparison::kNotEqual),
    Compares("<", Comparison::kLess),
    Compares("<=", Comparison::kLessOrEqual),
    Compares(">", Comparison::kGreater),
    Compares(">=", Comparison::kGreaterOrEqual),
    Compares("in", Comparison::kIn),
    Compares("not", Comparison::kNotIn),
    {kSumLevel, Kind::kBinary, "+", BinaryOperator::kAdd},
    {kSumLevel, Kind::kBinary, "-", BinaryOperator::kSubtract},
    {kConcatLevel, Kind::kConcat, "~"},
    {kProductLevel, Kind::kBinary, "*", BinaryOperator::kMultiply},
    {kProductLevel, Kind::kBinary, "/", BinaryOperator::kDivide},
    {kProductLevel, Kind::kBinary, "//", BinaryOperator::kFloorDivide},
    {kProductLevel, Kind::kBinary, "%", BinaryOperator::kModulo},
    {kPowerLevel, Kind::kBinary, "**", BinaryOperator::kPower},
};

// The rule of `level` that the current token begins; null if none.
const OperatorRule* FindOperator(const TokenStream& tokens, int level) {
  if (!tokens.Is(TokenKind::kName) && !tokens.Is(TokenKind::kOperator)) {
    return nullptr;
  }
  for (const OperatorRule& rule : kOperators) {
    if (rule.level != level || rule.text != tokens.current().text) continue;
    const bool is_not_in = rule.comparison == Comparison::kNotIn;
    return is_not_in && !tokens.IsFollowedBy("in") ? nullptr : &rule;
  }
  return nullptr;
}

// Counts a level of recursion for as long as it lives; an error of `tokens`
// where there are too many.
class Nesting {
 public:
  Nesting(int* nesting, TokenStream* tokens) : nesting_(*nesting) {
    if (++nesting_ <= kNestingMax) return;
    tokens->Fail(absl::StrCat("the expression is nested more than ",
                              kNestingMax, " levels deep"));
  }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --nesting_; }

 private:
  int& nesting_;
};

}  // namespace

bool ExpressionParser::IsConstantName(absl::string_view name) {
  return name == "true" || name == "True" || name == "false" ||
         name == "False" || name == "none" || name == "None";
}

ExpressionPtr ExpressionParser::New(Kind kind) const {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->offset = tokens_.current().offset;
  return expression;
}

ExpressionPtr ExpressionParser::NewUnary(Kind kind, size_t offset,
                                         ExpressionPtr operand) {
  ExpressionPtr expression = New(kind);
  expression->offset = offset;
  expression->operands.push_back(std::move(operand));
  return Finish(std::move(expression));
}

ExpressionPtr ExpressionParser::Finish(ExpressionPtr expression) {
  int depth = 0;
  const auto add = [&depth](const ExpressionPtr& part) {
    if (part != nullptr) depth = std::max(depth, part->depth);
  };
  for (const ExpressionPtr& operand : expression->operands) add(operand);
  for (const auto& [name, operand] : expression->named) add(operand);
  add(expression->more_positional);
  add(expression->more_named);
  expression->depth = depth + 1;
  if (expression->depth > kChainMax) {
    tokens_.FailAt(expression->offset,
                   absl::StrCat("the expression has more than ", kChainMax,
                                " operators in a chain"));
  }
  return expression;
}

ExpressionPtr ExpressionParser::Parse(Conditions conditions) {
  return conditions == Conditions::kAllowed ? ParseCondition()
                                            : ParseOperators(kOrLevel);
}

ExpressionPtr ExpressionParser::ParseTuple(Conditions conditions) {
  ExpressionPtr tuple = New(Kind::kTuple);
  bool is_tuple = false;
  while (tuple->operands.empty() || is_tuple) {
    // `recursive` ends the list of a loop.
    if (tokens_.Is(TokenKind::kOutputEnd) || tokens_.Is(TokenKind::kBlockEnd) ||
        tokens_.IsOperator(")") || tokens_.IsName("recursive")) {
      break;
    }
    tuple->operands.push_back(Parse(conditions));
    if (!tokens_.SkipOperator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return Finish(std::move(tuple));
  if (!tuple->operands.empty()) return std::move(tuple->operands[0]);
  tokens_.FailUnexpected("an expression");
  return tuple;
}

ExpressionPtr ExpressionParser::ParseCondition() {
  const Nesting nesting(&nesting_, &tokens_);
  ExpressionPtr value = ParseOperators(kOrLevel);
  while (tokens_.IsName("if")) {
    ExpressionPtr choice = New(Kind::kCondition);
    tokens_.Next();
    choice->operands.push_back(std::move(value));
    choice->operands.push_back(ParseOperators(kOrLevel));
    choice->operands.push_back(tokens_.SkipName("else") ? ParseCondition()
                                                        : nullptr);
    value = Finish(std::move(choice));
  }
  return value;
}

ExpressionPtr ExpressionParser::ParseOperators(int level) {
  if (level > kPowerLevel) return ParseFilters(ParseSigned());
  const size_t begin = tokens_.current().offset;
  if (level == kNotLevel && tokens_.SkipName("not")) {
    const Nesting nesting(&nesting_, &tokens_);
    return NewUnary(Kind::kNot, begin, ParseOperators(level));
  }
  ExpressionPtr left = ParseOperators(level + 1);
  ExpressionPtr chain;
  while (const OperatorRule* rule = FindOperator(tokens_, level)) {
    const size_t offset = tokens_.Next().offset;
    if (rule->comparison == Comparison::kNotIn) tokens_.Next();
    if (chain == nullptr) {
      chain = New(rule->kind);
      chain->offset = rule->kind == Kind::kBinary ? offset : begin;
      chain->operands.push_back(std::move(left));
    }
    chain->operands.push_back(ParseOperators(level + 1));
    if (rule->kind == Kind::kBinary) {
      chain->binary = rule->binary;
      left = Finish(std::move(chain));
    } else if (rule->kind == Kind::kCompare) {
      chain->comparisons.push_back(rule->comparison);
    }
  }
  return chain == nullptr ? std::move(left) : Finish(std::move(chain));
}

ExpressionPtr ExpressionParser::ParseSigned() {
  const Nesting nesting(&nesting_, &tokens_);
  const size_t offset = tokens_.current().offset;
  const bool is_negative = tokens_.IsOperator("-");
  if (!is_negative && !tokens_.IsOperator("+")) {
    return ParsePostfix(ParsePrimary());
  }
  tokens_.Next();
  return ParsePostfix(NewUnary(is_negative ? Kind::kNegate : Kind::kPlus,
                               offset, ParseSigned()));
}

ExpressionPtr ExpressionParser::ParsePrimary() {
  ExpressionPtr constant = New(Kind::kConstant);
  if (tokens_.Is(TokenKind::kString)) {
    // Strings side by side are one.
    std::string text;
    while (tokens_.Is(TokenKind::kString)) text.append(tokens_.Next().text);
    constant->constant = TemplateValue::Text(text);
  } else if (tokens_.Is(TokenKind::kInteger)) {
    constant->constant = TemplateValue::Integer(tokens_.Next().integer);
  } else if (tokens_.Is(TokenKind::kFloat)) {
    constant->constant = TemplateValue::Float(tokens_.Next().number);
  } else if (!tokens_.Is(TokenKind::kName)) {
    return ParseBracketed();
  } else if (!IsConstantName(tokens_.current().text)) {
    constant->kind = Kind::kName;
    constant->name = tokens_.Next().text;
  } else {
    const std::string& name = tokens_.Next().text;
    constant->constant =
        absl::EqualsIgnoreCase(name, "none")
            ? TemplateValue::None()
            : TemplateValue::Bool(absl::EqualsIgnoreCase(name, "true"));
  }
  return constant;
}

ExpressionPtr ExpressionParser::ParseBracketed() {
  ExpressionPtr tuple = New(Kind::kTuple);
  if (tokens_.SkipOperator("[")) {
    tuple->kind = Kind::kList;
    return ParseItems(std::move(tuple), "]");
  }
  if (tokens_.SkipOperator("{")) {
    tuple->kind = Kind::kMap;
    return ParseItems(std::move(tuple), "}");
  }
  if (!tokens_.SkipOperator("(")) {
    tokens_.FailUnexpected("an expression");
  } else if (!tokens_.SkipOperator(")")) {
    tuple = ParseTuple();
    tokens_.ExpectOperator(")");
  }
  return tuple;
}

ExpressionPtr ExpressionParser::ParseItems(ExpressionPtr list,
                                           absl::string_view close) {
  while (!tokens_.IsOperator(close)) {
    list->operands.push_back(Parse());
    if (list->kind == Kind::kMap) {
      tokens_.ExpectOperator(":");
      list->operands.push_back(Parse());
    }
    if (!tokens_.SkipOperator(",")) break;
  }
  tokens_.ExpectOperator(close);
  return Finish(std::move(list));
}

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr value) {
  while (true) {
    if (tokens_.IsOperator(".")) {
      value = ParseAttribute(std::move(value));
    } else if (tokens_.IsOperator("[")) {
      value = ParseItem(std::move(value));
    } else if (tokens_.IsOperator("(")) {
      value = ParseCall(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr value) {
  while (true) {
    if (tokens_.SkipOperator("|")) {
      value = ParseFilter(std::move(value));
    } else if (tokens_.IsName("is")) {
      value = ParseTest(std::move(value));
    } else if (tokens_.IsOperator("(")) {
      value = ParseCall(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::ParseAttribute(ExpressionPtr target) {
  ExpressionPtr attribute = New(Kind::kAttribute);
  tokens_.Next();
  attribute->operands.push_back(std::move(target));
  if (tokens_.Is(TokenKind::kInteger)) {
    attribute->kind = Kind::kItem;
    attribute->operands.push_back(ParsePrimary());
  } else {
    attribute->name =
        tokens_.Expect(TokenKind::kName, "a name or a number").text;
  }
  return Finish(std::move(attribute));
}

ExpressionPtr ExpressionParser::ParseItem(ExpressionPtr target) {
  ExpressionPtr item = New(Kind::kItem);
  tokens_.Next();
  item->operands.push_back(std::move(target));
  ExpressionPtr keys = New(Kind::kTuple);
  do {
    if (!keys->operands.empty() && tokens_.IsOperator("]")) break;
    keys->operands.push_back(ParseSubscript());
  } while (tokens_.SkipOperator(","));
  tokens_.ExpectOperator("]");
  item->operands.push_back(keys->operands.size() == 1
                               ? std::move(keys->operands[0])
                               : Finish(std::move(keys)));
  return Finish(std::move(item));
}

ExpressionPtr ExpressionParser::ParseSubscript() {
  ExpressionPtr slice = New(Kind::kSlice);
  slice->operands.resize(3);
  if (!tokens_.IsOperator(":")) {
    ExpressionPtr index = Parse();
    if (!tokens_.IsOperator(":")) return index;
    slice->operands[0] = std::move(index);
  }
  for (size_t i = 1; i < 3 && tokens_.SkipOperator(":"); ++i) {
    if (!tokens_.IsOperator(":") && !tokens_.IsOperator(",") &&
        !tokens_.IsOperator("]")) {
      slice->operands[i] = Parse();
    }
  }
  return Finish(std::move(slice));
}

ExpressionPtr ExpressionParser::ParseCall(ExpressionPtr callee) {
  ExpressionPtr call = New(Kind::kCall);
  call->operands.push_back(std::move(callee));
  ParseArguments(call.get());
  return Finish(std::move(call));
}

void ExpressionParser::ParseArguments(Expression* call) {
  tokens_.ExpectOperator("(");
  while (!tokens_.IsOperator(")")) {
    ParseArgument(call);
    if (!tokens_.SkipOperator(",")) break;
  }
  tokens_.ExpectOperator(")");
}

void ExpressionParser::ParseArgument(Expression* call) {
  const bool has_more_named = call->more_named != nullptr;
  const bool has_more = call->more_positional != nullptr || has_more_named;
  if (tokens_.SkipOperator("**")) {
    if (has_more_named) tokens_.Fail("a second **");
    call->more_named = Parse();
  } else if (tokens_.SkipOperator("*")) {
    if (has_more) {
      tokens_.Fail("an argument with * after others with * or **");
    }
    call->more_positional = Parse();
  } else if (tokens_.Is(TokenKind::kName) && tokens_.IsFollowedBy("=")) {
    if (has_more_named) tokens_.Fail("a named argument after **");
    const std::string& name = tokens_.Next().text;
    tokens_.Next();
    for (const auto& [other, value] : call->named) {
      if (other == name) tokens_.Fail("an argument is named twice");
    }
    call->named.emplace_back(name, Parse());
  } else {
    if (!call->named.empty() || has_more) {
      tokens_.Fail("an argument without name after one with name");
    }
    call->operands.push_back(Parse());
  }
}

std::string ExpressionParser::ParseDottedName(absl::string_view what) {
  std::string name = tokens_.Expect(TokenKind::kName, what).text;
  while (tokens_.SkipOperator(".")) {
    absl::StrAppend(&name, ".", tokens_.Expect(TokenKind::kName, what).text);
  }
  return name;
}

ExpressionPtr ExpressionParser::ParseFilter(ExpressionPtr value) {
  ExpressionPtr filter = New(Kind::kFilter);
  filter->name = ParseDottedName("the name of a filter");
  filter->builtin = FindBuiltin(BuiltinKind::kFilter, filter->name);
  if (filter->builtin == nullptr) {
    tokens_.FailAt(filter->offset,
                   IsRefusedFilter(filter->name)
                       ? absl::StrCat("the filter '", filter->name,
                                      "' is not supported: chats have no use "
                                      "for it")
                       : NoBuiltinMessage(BuiltinKind::kFilter, filter->name));
  }
  filter->operands.push_back(std::move(value));
  if (tokens_.IsOperator("(")) ParseArguments(filter.get());
  return Finish(std::move(filter));
}

ExpressionPtr ExpressionParser::ParseCapturedFilters() {
  ExpressionPtr value = ParseFilter(New(Kind::kCaptured));
  while (tokens_.SkipOperator("|")) value = ParseFilter(std::move(value));
  return value;
}

ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr value) {
  const size_t offset = tokens_.Next().offset;  // `is`
  const bool is_negated = tokens_.SkipName("not");
  ExpressionPtr test = New(Kind::kTest);
  test->name = ParseDottedName("the name of a test");
  test->builtin = FindBuiltin(BuiltinKind::kTest, test->name);
  if (test->builtin == nullptr) {
    tokens_.FailAt(test->offset,
                   NoBuiltinMessage(BuiltinKind::kTest, test->name));
  }
  test->operands.push_back(std::move(value));
  const bool is_argument =
      tokens_.Is(TokenKind::kName) || tokens_.Is(TokenKind::kString) ||
      tokens_.Is(TokenKind::kInteger) || tokens_.Is(TokenKind::kFloat) ||
      tokens_.IsOperator("[") || tokens_.IsOperator("{");
  if (tokens_.IsOperator("(")) {
    ParseArguments(test.get());
  } else if (tokens_.IsName("is")) {
    tokens_.Fail("tests can not be chained with 'is'");
  } else if (is_argument && !tokens_.IsName("else") && !tokens_.IsName("or") &&
             !tokens_.IsName("and")) {
    test->operands.push_back(ParsePostfix(ParsePrimary()));
  }
  test = Finish(std::move(test));
  return is_negated ? NewUnary(Kind::kNot, offset, std::move(test))
                    : std::move(test);
}

}  // namespace tandem
