#include "engine/template/expression_parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/render_budget.h"

namespace tandem {
namespace {

using Kind = Expression::Kind;
using TokenKind = TemplateToken::Kind;

// Counts a level of recursion for as long as it lives.
class Level {
 public:
  explicit Level(int* nesting) : nesting_(*nesting) { ++nesting_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() { --nesting_; }

  absl::Status Check(const TokenStream& tokens) const {
    if (nesting_ <= kNestingMax) return absl::OkStatus();
    return tokens.Error(absl::StrCat("the expression is nested more than ",
                                     kNestingMax, " levels deep"));
  }

 private:
  int& nesting_;
};

}  // namespace

bool ExpressionParser::IsConstantName(absl::string_view name) {
  return name == "true" || name == "True" || name == "false" ||
         name == "False" || name == "none" || name == "None";
}

ExpressionPtr ExpressionParser::NewAt(Kind kind, size_t offset) const {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->offset = offset;
  return expression;
}

ExpressionPtr ExpressionParser::New(Kind kind) const {
  return NewAt(kind, tokens_.current().offset);
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Finish(
    ExpressionPtr expression) const {
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
    return tokens_.ErrorAt(expression->offset,
                           absl::StrCat("the expression has more than ",
                                        kChainMax, " operators in a chain"));
  }
  return expression;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Unary(
    Kind kind, size_t offset, ExpressionPtr operand) const {
  ExpressionPtr expression = NewAt(kind, offset);
  expression->operands.push_back(std::move(operand));
  return Finish(std::move(expression));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Binary(
    BinaryOperator operation, size_t offset, ExpressionPtr left,
    ExpressionPtr right) const {
  ExpressionPtr expression = NewAt(Kind::kBinary, offset);
  expression->binary = operation;
  expression->operands.push_back(std::move(left));
  expression->operands.push_back(std::move(right));
  return Finish(std::move(expression));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Parse(Conditions conditions) {
  return conditions == Conditions::kAllowed ? ParseCondition() : ParseOr();
}

bool ExpressionParser::IsTupleEnd() const {
  // `recursive` ends the list of a loop.
  return tokens_.Is(TokenKind::kOutputEnd) ||
         tokens_.Is(TokenKind::kBlockEnd) || tokens_.IsOperator(")") ||
         tokens_.IsName("recursive");
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseTuple(
    Conditions conditions) {
  ExpressionPtr tuple = New(Kind::kTuple);
  bool is_tuple = false;
  while (tuple->operands.empty() || is_tuple) {
    if (IsTupleEnd()) break;
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr item, Parse(conditions));
    tuple->operands.push_back(std::move(item));
    if (!tokens_.SkipOperator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return Finish(std::move(tuple));
  if (tuple->operands.empty()) return tokens_.Unexpected("an expression");
  return std::move(tuple->operands[0]);
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCondition() {
  const Level level(&nesting_);
  TANDEM_RETURN_IF_ERROR(level.Check(tokens_));
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, ParseOr());
  while (tokens_.IsName("if")) {
    ExpressionPtr choice = New(Kind::kCondition);
    tokens_.Next();
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr condition, ParseOr());
    ExpressionPtr otherwise;
    if (tokens_.SkipName("else")) {
      TANDEM_ASSIGN_OR_RETURN(otherwise, ParseCondition());
    }
    choice->operands.push_back(std::move(value));
    choice->operands.push_back(std::move(condition));
    choice->operands.push_back(std::move(otherwise));
    TANDEM_ASSIGN_OR_RETURN(value, Finish(std::move(choice)));
  }
  return value;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseOr() {
  ExpressionPtr any = New(Kind::kOr);
  do {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseAnd());
    any->operands.push_back(std::move(operand));
  } while (tokens_.SkipName("or"));
  if (any->operands.size() == 1) return std::move(any->operands[0]);
  return Finish(std::move(any));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseAnd() {
  ExpressionPtr all = New(Kind::kAnd);
  do {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseNot());
    all->operands.push_back(std::move(operand));
  } while (tokens_.SkipName("and"));
  if (all->operands.size() == 1) return std::move(all->operands[0]);
  return Finish(std::move(all));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseNot() {
  if (!tokens_.IsName("not")) return ParseCompare();
  const Level level(&nesting_);
  TANDEM_RETURN_IF_ERROR(level.Check(tokens_));
  const size_t offset = tokens_.Next().offset;
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseNot());
  return Unary(Kind::kNot, offset, std::move(operand));
}

bool ExpressionParser::ReadComparison(Comparison* comparison) {
  constexpr std::pair<const char*, Comparison> kComparisons[] = {
      {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
      {"<", Comparison::kLess},    {"<=", Comparison::kLessOrEqual},
      {">", Comparison::kGreater}, {">=", Comparison::kGreaterOrEqual},
  };
  for (const auto& [text, meant] : kComparisons) {
    if (!tokens_.SkipOperator(text)) continue;
    *comparison = meant;
    return true;
  }
  if (tokens_.SkipName("in")) {
    *comparison = Comparison::kIn;
    return true;
  }
  const TemplateToken& following = tokens_.following();
  if (!tokens_.IsName("not") || following.kind != TokenKind::kName ||
      following.text != "in") {
    return false;
  }
  tokens_.Next();
  tokens_.Next();
  *comparison = Comparison::kNotIn;
  return true;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCompare() {
  ExpressionPtr comparisons = New(Kind::kCompare);
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr first, ParseSum());
  comparisons->operands.push_back(std::move(first));
  Comparison comparison = Comparison::kEqual;
  while (ReadComparison(&comparison)) {
    comparisons->comparisons.push_back(comparison);
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseSum());
    comparisons->operands.push_back(std::move(operand));
  }
  if (comparisons->comparisons.empty()) {
    return std::move(comparisons->operands[0]);
  }
  return Finish(std::move(comparisons));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSum() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr left, ParseConcat());
  while (tokens_.IsOperator("+") || tokens_.IsOperator("-")) {
    const TemplateToken& sign = tokens_.Next();
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr right, ParseConcat());
    TANDEM_ASSIGN_OR_RETURN(
        left, Binary(sign.text == "+" ? BinaryOperator::kAdd
                                      : BinaryOperator::kSubtract,
                     sign.offset, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseConcat() {
  ExpressionPtr concat = New(Kind::kConcat);
  do {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseProduct());
    concat->operands.push_back(std::move(operand));
  } while (tokens_.SkipOperator("~"));
  if (concat->operands.size() == 1) return std::move(concat->operands[0]);
  return Finish(std::move(concat));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseProduct() {
  constexpr std::pair<const char*, BinaryOperator> kProducts[] = {
      {"*", BinaryOperator::kMultiply},
      {"/", BinaryOperator::kDivide},
      {"//", BinaryOperator::kFloorDivide},
      {"%", BinaryOperator::kModulo},
  };
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr left, ParsePower());
  while (tokens_.Is(TokenKind::kOperator)) {
    const auto* const product = std::find_if(
        std::begin(kProducts), std::end(kProducts),
        [this](const auto& entry) { return tokens_.IsOperator(entry.first); });
    if (product == std::end(kProducts)) break;
    const size_t offset = tokens_.Next().offset;
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr right, ParsePower());
    TANDEM_ASSIGN_OR_RETURN(left, Binary(product->second, offset,
                                         std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePower() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr left, ParseUnary());
  while (tokens_.IsOperator("**")) {
    const size_t offset = tokens_.Next().offset;
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr right, ParseUnary());
    TANDEM_ASSIGN_OR_RETURN(left, Binary(BinaryOperator::kPower, offset,
                                         std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseUnary() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, ParseSigned());
  return ParseFilters(std::move(value));
}

// Without filters: -x|abs is (-x)|abs.
absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSigned() {
  const Level level(&nesting_);
  TANDEM_RETURN_IF_ERROR(level.Check(tokens_));
  const size_t offset = tokens_.current().offset;
  if (tokens_.SkipOperator("-")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, ParseSigned());
    TANDEM_ASSIGN_OR_RETURN(value,
                            Unary(Kind::kNegate, offset, std::move(value)));
    return ParsePostfix(std::move(value));
  }
  if (tokens_.SkipOperator("+")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, ParseSigned());
    TANDEM_ASSIGN_OR_RETURN(value,
                            Unary(Kind::kPlus, offset, std::move(value)));
    return ParsePostfix(std::move(value));
  }
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, ParsePrimary());
  return ParsePostfix(std::move(value));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePrimary() {
  const TemplateToken& token = tokens_.current();
  ExpressionPtr constant = New(Kind::kConstant);
  switch (token.kind) {
    case TokenKind::kString:
      return ParseString();
    case TokenKind::kInteger:
      constant->constant = TemplateValue::Integer(tokens_.Next().integer);
      return constant;
    case TokenKind::kFloat:
      constant->constant = TemplateValue::Float(tokens_.Next().number);
      return constant;
    case TokenKind::kOperator:
      return ParseBracketed();
    case TokenKind::kName:
      break;
    default:
      return tokens_.Unexpected("an expression");
  }
  const std::string& name = tokens_.Next().text;
  if (!IsConstantName(name)) {
    constant->kind = Kind::kName;
    constant->name = name;
  } else if (absl::EqualsIgnoreCase(name, "none")) {
    constant->constant = TemplateValue::None();
  } else {
    constant->constant =
        TemplateValue::Bool(absl::EqualsIgnoreCase(name, "true"));
  }
  return constant;
}

// Strings side by side are one.
absl::StatusOr<ExpressionPtr> ExpressionParser::ParseString() {
  ExpressionPtr constant = New(Kind::kConstant);
  std::string text;
  while (tokens_.Is(TokenKind::kString)) text.append(tokens_.Next().text);
  constant->constant = TemplateValue::Text(text);
  return constant;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseBracketed() {
  if (tokens_.IsOperator("[")) return ParseList();
  if (tokens_.IsOperator("{")) return ParseMap();
  if (!tokens_.IsOperator("(")) return tokens_.Unexpected("an expression");
  ExpressionPtr empty = New(Kind::kTuple);
  tokens_.Next();
  if (tokens_.SkipOperator(")")) return empty;
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr inner,
                          ParseTuple(Conditions::kAllowed));
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
  return inner;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseList() {
  ExpressionPtr list = New(Kind::kList);
  tokens_.Next();
  while (!tokens_.IsOperator("]")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr item, Parse());
    list->operands.push_back(std::move(item));
    if (!tokens_.SkipOperator(",")) break;
  }
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  return Finish(std::move(list));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseMap() {
  ExpressionPtr map = New(Kind::kMap);
  tokens_.Next();
  while (!tokens_.IsOperator("}")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr key, Parse());
    TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(":"));
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, Parse());
    map->operands.push_back(std::move(key));
    map->operands.push_back(std::move(value));
    if (!tokens_.SkipOperator(",")) break;
  }
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("}"));
  return Finish(std::move(map));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePostfix(
    ExpressionPtr expression) {
  while (true) {
    if (tokens_.IsOperator(".")) {
      TANDEM_ASSIGN_OR_RETURN(expression,
                              ParseAttribute(std::move(expression)));
    } else if (tokens_.IsOperator("[")) {
      TANDEM_ASSIGN_OR_RETURN(expression, ParseItem(std::move(expression)));
    } else if (tokens_.IsOperator("(")) {
      TANDEM_ASSIGN_OR_RETURN(expression, ParseCall(std::move(expression)));
    } else {
      return expression;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseFilters(
    ExpressionPtr expression) {
  while (true) {
    if (tokens_.IsOperator("|")) {
      tokens_.Next();
      TANDEM_ASSIGN_OR_RETURN(expression, ParseFilter(std::move(expression)));
    } else if (tokens_.IsName("is")) {
      TANDEM_ASSIGN_OR_RETURN(expression, ParseTest(std::move(expression)));
    } else if (tokens_.IsOperator("(")) {
      TANDEM_ASSIGN_OR_RETURN(expression, ParseCall(std::move(expression)));
    } else {
      return expression;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseAttribute(
    ExpressionPtr target) {
  ExpressionPtr attribute = New(Kind::kAttribute);
  tokens_.Next();
  attribute->operands.push_back(std::move(target));
  if (tokens_.Is(TokenKind::kInteger)) {
    attribute->kind = Kind::kItem;
    ExpressionPtr index = New(Kind::kConstant);
    index->constant = TemplateValue::Integer(tokens_.Next().integer);
    attribute->operands.push_back(std::move(index));
  } else if (tokens_.Is(TokenKind::kName)) {
    attribute->name = tokens_.Next().text;
  } else {
    return tokens_.Unexpected("a name or a number");
  }
  return Finish(std::move(attribute));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseItem(
    ExpressionPtr target) {
  ExpressionPtr item = New(Kind::kItem);
  tokens_.Next();
  ExpressionPtr keys = New(Kind::kTuple);
  do {
    if (!keys->operands.empty() && tokens_.IsOperator("]")) break;
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr key, ParseSubscript());
    keys->operands.push_back(std::move(key));
  } while (tokens_.SkipOperator(","));
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  item->operands.push_back(std::move(target));
  if (keys->operands.size() == 1) {
    item->operands.push_back(std::move(keys->operands[0]));
  } else {
    TANDEM_ASSIGN_OR_RETURN(keys, Finish(std::move(keys)));
    item->operands.push_back(std::move(keys));
  }
  return Finish(std::move(item));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSubscript() {
  ExpressionPtr slice = New(Kind::kSlice);
  slice->operands.resize(3);
  if (!tokens_.IsOperator(":")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr index, Parse());
    if (!tokens_.IsOperator(":")) return index;
    slice->operands[0] = std::move(index);
  }
  for (size_t i = 1; i < 3 && tokens_.SkipOperator(":"); ++i) {
    if (tokens_.IsOperator(":") || tokens_.IsOperator(",") ||
        tokens_.IsOperator("]")) {
      continue;
    }
    TANDEM_ASSIGN_OR_RETURN(slice->operands[i], Parse());
  }
  return Finish(std::move(slice));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCall(
    ExpressionPtr callee) {
  ExpressionPtr call = New(Kind::kCall);
  call->operands.push_back(std::move(callee));
  TANDEM_RETURN_IF_ERROR(ParseArguments(call.get()));
  return Finish(std::move(call));
}

absl::Status ExpressionParser::ParseArguments(Expression* call) {
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  while (!tokens_.IsOperator(")")) {
    TANDEM_RETURN_IF_ERROR(ParseArgument(call));
    if (!tokens_.SkipOperator(",")) break;
  }
  return tokens_.ExpectOperator(")");
}

absl::Status ExpressionParser::ParseArgument(Expression* call) {
  if (tokens_.SkipOperator("**")) {
    if (call->more_named != nullptr) return tokens_.Error("a second **");
    TANDEM_ASSIGN_OR_RETURN(call->more_named, Parse());
    return absl::OkStatus();
  }
  if (tokens_.SkipOperator("*")) {
    if (call->more_positional != nullptr || call->more_named != nullptr) {
      return tokens_.Error("an argument with * after others with * or **");
    }
    TANDEM_ASSIGN_OR_RETURN(call->more_positional, Parse());
    return absl::OkStatus();
  }
  const TemplateToken& following = tokens_.following();
  if (tokens_.Is(TokenKind::kName) && following.kind == TokenKind::kOperator &&
      following.text == "=") {
    if (call->more_named != nullptr) {
      return tokens_.Error("a named argument after **");
    }
    const std::string& name = tokens_.Next().text;
    tokens_.Next();
    for (const auto& [other, value] : call->named) {
      if (other == name) return tokens_.Error("an argument is named twice");
    }
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, Parse());
    call->named.emplace_back(name, std::move(value));
    return absl::OkStatus();
  }
  if (!call->named.empty() || call->more_positional != nullptr ||
      call->more_named != nullptr) {
    return tokens_.Error("an argument without name after one with name");
  }
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, Parse());
  call->operands.push_back(std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ExpressionParser::ParseDottedName(
    absl::string_view what) {
  if (!tokens_.Is(TokenKind::kName)) return tokens_.Unexpected(what);
  std::string name = tokens_.Next().text;
  while (tokens_.SkipOperator(".")) {
    if (!tokens_.Is(TokenKind::kName)) return tokens_.Unexpected(what);
    absl::StrAppend(&name, ".", tokens_.Next().text);
  }
  return name;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseFilter(
    ExpressionPtr value) {
  ExpressionPtr filter = New(Kind::kFilter);
  TANDEM_ASSIGN_OR_RETURN(filter->name,
                          ParseDottedName("the name of a filter"));
  filter->filter = FindFilter(filter->name);
  if (filter->filter == nullptr) {
    return tokens_.ErrorAt(
        filter->offset,
        IsRefusedFilter(filter->name)
            ? absl::StrCat("the filter '", filter->name,
                           "' is not supported: chats have no use for it")
            : UnknownNameMessage("filter", filter->name, FilterNames()));
  }
  filter->operands.push_back(std::move(value));
  if (tokens_.IsOperator("(")) {
    TANDEM_RETURN_IF_ERROR(ParseArguments(filter.get()));
  }
  return Finish(std::move(filter));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCapturedFilters() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value,
                          ParseFilter(New(Kind::kCaptured)));
  while (tokens_.SkipOperator("|")) {
    TANDEM_ASSIGN_OR_RETURN(value, ParseFilter(std::move(value)));
  }
  return value;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseTest(ExpressionPtr value) {
  const size_t offset = tokens_.Next().offset;  // `is`
  const bool is_negated = tokens_.SkipName("not");
  ExpressionPtr test = New(Kind::kTest);
  TANDEM_ASSIGN_OR_RETURN(test->name, ParseDottedName("the name of a test"));
  test->test = FindTest(test->name);
  if (test->test == nullptr) {
    return tokens_.ErrorAt(test->offset,
                           UnknownNameMessage("test", test->name, TestNames()));
  }
  test->operands.push_back(std::move(value));
  const bool is_argument =
      tokens_.Is(TokenKind::kName) || tokens_.Is(TokenKind::kString) ||
      tokens_.Is(TokenKind::kInteger) || tokens_.Is(TokenKind::kFloat) ||
      tokens_.IsOperator("[") || tokens_.IsOperator("{");
  if (tokens_.IsOperator("(")) {
    TANDEM_RETURN_IF_ERROR(ParseArguments(test.get()));
  } else if (tokens_.IsName("is")) {
    return tokens_.Error("tests can not be chained with 'is'");
  } else if (is_argument && !tokens_.IsName("else") && !tokens_.IsName("or") &&
             !tokens_.IsName("and")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr argument, ParsePrimary());
    TANDEM_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    test->operands.push_back(std::move(argument));
  }
  TANDEM_ASSIGN_OR_RETURN(test, Finish(std::move(test)));
  if (!is_negated) return test;
  return Unary(Kind::kNot, offset, std::move(test));
}

}  // namespace tandem
