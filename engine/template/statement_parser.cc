#include "engine/template/statement_parser.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/template/characters.h"
#include "engine/template/expression_parser.h"
#include "engine/template/lexer.h"
#include "engine/template/render_budget.h"

namespace tandem {
namespace {

using Kind = Statement::Kind;
using TokenKind = TemplateToken::Kind;
using Conditions = ExpressionParser::Conditions;

using EndWords = std::initializer_list<absl::string_view>;

class StatementParser {
 public:
  explicit StatementParser(TokenStream* tokens)
      : tokens_(*tokens), expressions_(tokens) {}

  // Statements up to a block that begins with one of `ends`, whose `{%` is
  // read; to the end of the template where `ends` is empty.
  absl::StatusOr<std::vector<Statement>> ParseBody(EndWords ends);

 private:
  using Parser = absl::Status (StatementParser::*)(Statement*);
  struct Tag {
    absl::string_view name;
    Parser parser;
  };

  // A name, or a tuple of targets.
  absl::StatusOr<AssignTarget> ParseTarget();
  absl::StatusOr<std::string> ParseTargetName();
  absl::StatusOr<Statement> ParseOutput();
  absl::StatusOr<Statement> ParseTag();
  // `%}`, the body and the word that ends it.
  absl::Status ParseBlock(absl::string_view end, std::vector<Statement>* body);
  absl::Status ParseIf(Statement* statement);
  absl::Status ParseFor(Statement* statement);
  absl::Status ParseSet(Statement* statement);
  absl::Status ParseMacro(Statement* statement);
  absl::Status ParseCall(Statement* statement);
  absl::Status ParseFilter(Statement* statement);
  absl::Status ParseWith(Statement* statement);
  absl::Status ParseScope(Statement* statement);
  absl::Status ParsePrint(Statement* statement);
  absl::Status ParseBreak(Statement* statement);
  absl::Status ParseContinue(Statement* statement);
  absl::Status ParseParameters(Statement* statement);
  // The body of a macro or caller.
  absl::Status ParseMacroBody(absl::string_view end, Statement* statement);
  absl::Status ParseSingle(Conditions conditions, Statement* statement);
  absl::Status ExpectBlockEnd() {
    return tokens_.Expect(TokenKind::kBlockEnd, "%}");
  }

  TokenStream& tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;  // that are open
};

absl::StatusOr<std::vector<Statement>> StatementParser::ParseBody(
    EndWords ends) {
  if (nesting_ >= kNestingMax) {
    return tokens_.Error(absl::StrCat("blocks are nested more than ",
                                      kNestingMax, " levels deep"));
  }
  ++nesting_;
  std::vector<Statement> body;
  while (!tokens_.Is(TokenKind::kEnd)) {
    if (tokens_.Is(TokenKind::kText)) {
      const TemplateToken& text = tokens_.Next();
      body.push_back({.kind = Kind::kText,
                      .offset = text.offset,
                      .text = TemplateValue::Text(text.text)});
      continue;
    }
    if (tokens_.Is(TokenKind::kOutputBegin)) {
      TANDEM_ASSIGN_OR_RETURN(Statement output, ParseOutput());
      body.push_back(std::move(output));
      continue;
    }
    TANDEM_RETURN_IF_ERROR(tokens_.Expect(TokenKind::kBlockBegin, "a block"));
    const bool is_end = std::any_of(
        ends.begin(), ends.end(),
        [this](absl::string_view end) { return tokens_.IsName(end); });
    if (is_end) {
      --nesting_;
      return body;
    }
    TANDEM_ASSIGN_OR_RETURN(Statement statement, ParseTag());
    body.push_back(std::move(statement));
  }
  --nesting_;
  if (ends.size() == 0) return body;
  return tokens_.Unexpected(
      absl::StrCat("{% ", absl::StrJoin(ends, " %} or {% "), " %}"));
}

absl::StatusOr<std::string> StatementParser::ParseTargetName() {
  if (!tokens_.Is(TokenKind::kName)) return tokens_.Unexpected("a name");
  const std::string& name = tokens_.current().text;
  if (ExpressionParser::IsConstantName(name)) {
    return tokens_.Error(absl::StrCat("'", name, "' can not be assigned to"));
  }
  return tokens_.Next().text;
}

absl::StatusOr<AssignTarget> StatementParser::ParseTarget() {
  if (nesting_ >= kNestingMax) {
    return tokens_.Error(absl::StrCat("targets are nested more than ",
                                      kNestingMax, " levels deep"));
  }
  AssignTarget tuple = {.offset = tokens_.current().offset};
  bool is_tuple = false;
  while (tuple.items.empty() || is_tuple) {
    if (is_tuple &&
        (tokens_.IsName("in") || tokens_.IsOperator(")") ||
         tokens_.IsOperator("=") || tokens_.Is(TokenKind::kBlockEnd))) {
      break;
    }
    AssignTarget item = {.offset = tokens_.current().offset};
    if (tokens_.SkipOperator("(")) {
      ++nesting_;
      TANDEM_ASSIGN_OR_RETURN(item, ParseTarget());
      --nesting_;
      TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
    } else {
      TANDEM_ASSIGN_OR_RETURN(item.name, ParseTargetName());
    }
    tuple.items.push_back(std::move(item));
    if (!tokens_.SkipOperator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return tuple;
  // Moved out first: assigning it to its own owner would end it.
  AssignTarget only = std::move(tuple.items[0]);
  return only;
}

absl::StatusOr<Statement> StatementParser::ParseOutput() {
  Statement output = {.kind = Kind::kOutput, .offset = tokens_.Next().offset};
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr expression,
                          expressions_.ParseTuple(Conditions::kAllowed));
  output.expressions.push_back(std::move(expression));
  TANDEM_RETURN_IF_ERROR(tokens_.Expect(TokenKind::kOutputEnd, "}}"));
  return output;
}

absl::StatusOr<Statement> StatementParser::ParseTag() {
  static constexpr Tag kTags[] = {
      {"if", &StatementParser::ParseIf},
      {"for", &StatementParser::ParseFor},
      {"set", &StatementParser::ParseSet},
      {"macro", &StatementParser::ParseMacro},
      {"call", &StatementParser::ParseCall},
      {"filter", &StatementParser::ParseFilter},
      {"with", &StatementParser::ParseWith},
      {"generation", &StatementParser::ParseScope},
      {"print", &StatementParser::ParsePrint},
      {"break", &StatementParser::ParseBreak},
      {"continue", &StatementParser::ParseContinue},
  };
  static constexpr absl::string_view kRefused[] = {
      "include", "import", "from",       "extends", "block",
      "do",      "trans",  "autoescape", "debug"};
  if (!tokens_.Is(TokenKind::kName)) {
    return tokens_.Unexpected("the name of a block");
  }
  const std::string& name = tokens_.current().text;
  for (const Tag& tag : kTags) {
    if (tag.name != name) continue;
    Statement statement = {.offset = tokens_.Next().offset};
    TANDEM_RETURN_IF_ERROR((this->*tag.parser)(&statement));
    TANDEM_RETURN_IF_ERROR(ExpectBlockEnd());
    return statement;
  }
  const bool is_refused = std::find(std::begin(kRefused), std::end(kRefused),
                                    name) != std::end(kRefused);
  return tokens_.Error(
      is_refused ? absl::StrCat("{% ", name, " %} is not supported")
                 : absl::StrCat("{% ", name, " %} is not expected here"));
}

absl::Status StatementParser::ParseBlock(absl::string_view end,
                                         std::vector<Statement>* body) {
  TANDEM_RETURN_IF_ERROR(ExpectBlockEnd());
  TANDEM_ASSIGN_OR_RETURN(*body, ParseBody({end}));
  return tokens_.ExpectName(end);
}

absl::Status StatementParser::ParseSingle(Conditions conditions,
                                          Statement* statement) {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr expression,
                          expressions_.ParseTuple(conditions));
  statement->expressions.push_back(std::move(expression));
  return absl::OkStatus();
}

absl::Status StatementParser::ParseIf(Statement* statement) {
  statement->kind = Kind::kIf;
  do {
    Statement::Branch branch;
    TANDEM_ASSIGN_OR_RETURN(branch.condition,
                            expressions_.ParseTuple(Conditions::kExcluded));
    TANDEM_RETURN_IF_ERROR(ExpectBlockEnd());
    TANDEM_ASSIGN_OR_RETURN(branch.body, ParseBody({"elif", "else", "endif"}));
    statement->branches.push_back(std::move(branch));
  } while (tokens_.SkipName("elif"));
  if (tokens_.SkipName("else")) {
    return ParseBlock("endif", &statement->otherwise);
  }
  return tokens_.ExpectName("endif");
}

absl::Status StatementParser::ParseFor(Statement* statement) {
  statement->kind = Kind::kFor;
  TANDEM_ASSIGN_OR_RETURN(AssignTarget target, ParseTarget());
  statement->targets.push_back(std::move(target));
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectName("in"));
  TANDEM_RETURN_IF_ERROR(ParseSingle(Conditions::kExcluded, statement));
  if (tokens_.SkipName("if")) {
    TANDEM_ASSIGN_OR_RETURN(statement->condition, expressions_.Parse());
  }
  if (tokens_.IsName("recursive")) {
    return tokens_.Error("recursive loops are not supported");
  }
  TANDEM_RETURN_IF_ERROR(ExpectBlockEnd());
  ++loops_;
  TANDEM_ASSIGN_OR_RETURN(statement->body, ParseBody({"endfor", "else"}));
  --loops_;
  if (tokens_.SkipName("else")) {
    return ParseBlock("endfor", &statement->otherwise);
  }
  return tokens_.ExpectName("endfor");
}

absl::Status StatementParser::ParseSet(Statement* statement) {
  AssignTarget target = {.offset = tokens_.current().offset};
  const TemplateToken& following = tokens_.following();
  if (following.kind == TokenKind::kOperator && following.text == ".") {
    TANDEM_ASSIGN_OR_RETURN(target.name, ParseTargetName());
    tokens_.Next();
    if (!tokens_.Is(TokenKind::kName)) return tokens_.Unexpected("a name");
    target.attribute = tokens_.Next().text;
  } else {
    TANDEM_ASSIGN_OR_RETURN(target, ParseTarget());
  }
  statement->targets.push_back(std::move(target));
  if (tokens_.SkipOperator("=")) {
    statement->kind = Kind::kSet;
    return ParseSingle(Conditions::kAllowed, statement);
  }
  statement->kind = Kind::kSetBlock;
  if (tokens_.SkipOperator("|")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr filters,
                            expressions_.ParseCapturedFilters());
    statement->expressions.push_back(std::move(filters));
  }
  return ParseBlock("endset", &statement->body);
}

absl::Status StatementParser::ParseParameters(Statement* statement) {
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  while (!tokens_.IsOperator(")")) {
    MacroParameter parameter;
    TANDEM_ASSIGN_OR_RETURN(parameter.name, ParseTargetName());
    if (tokens_.SkipOperator("=")) {
      TANDEM_ASSIGN_OR_RETURN(parameter.default_value, expressions_.Parse());
    } else if (!statement->parameters.empty() &&
               statement->parameters.back().default_value != nullptr) {
      return tokens_.Error("a parameter without default after one with one");
    }
    for (const MacroParameter& other : statement->parameters) {
      if (other.name == parameter.name) {
        return tokens_.Error("a parameter is named twice");
      }
    }
    statement->parameters.push_back(std::move(parameter));
    if (!tokens_.SkipOperator(",")) break;
  }
  return tokens_.ExpectOperator(")");
}

absl::Status StatementParser::ParseMacroBody(absl::string_view end,
                                             Statement* statement) {
  const size_t begin = tokens_.place();
  // A loop around the macro is none that its body can leave.
  const int loops = std::exchange(loops_, 0);
  TANDEM_RETURN_IF_ERROR(ParseBlock(end, &statement->body));
  loops_ = loops;
  statement->takes_varargs = tokens_.HasNameSince(begin, "varargs");
  statement->takes_kwargs = tokens_.HasNameSince(begin, "kwargs");
  statement->takes_caller = tokens_.HasNameSince(begin, "caller");
  return absl::OkStatus();
}

absl::Status StatementParser::ParseMacro(Statement* statement) {
  statement->kind = Kind::kMacro;
  TANDEM_ASSIGN_OR_RETURN(statement->name, ParseTargetName());
  TANDEM_RETURN_IF_ERROR(ParseParameters(statement));
  return ParseMacroBody("endmacro", statement);
}

absl::Status StatementParser::ParseCall(Statement* statement) {
  statement->kind = Kind::kCall;
  statement->name = "caller";
  if (tokens_.IsOperator("(")) {
    TANDEM_RETURN_IF_ERROR(ParseParameters(statement));
  }
  TANDEM_RETURN_IF_ERROR(ParseSingle(Conditions::kAllowed, statement));
  if (statement->expressions[0]->kind != Expression::Kind::kCall) {
    return tokens_.ErrorAt(statement->offset,
                           "{% call %} needs the call of a macro");
  }
  return ParseMacroBody("endcall", statement);
}

absl::Status StatementParser::ParseFilter(Statement* statement) {
  statement->kind = Kind::kFilterBlock;
  TANDEM_ASSIGN_OR_RETURN(ExpressionPtr filters,
                          expressions_.ParseCapturedFilters());
  statement->expressions.push_back(std::move(filters));
  return ParseBlock("endfilter", &statement->body);
}

absl::Status StatementParser::ParseWith(Statement* statement) {
  statement->kind = Kind::kWith;
  while (!tokens_.Is(TokenKind::kBlockEnd)) {
    if (!statement->targets.empty()) {
      TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(","));
    }
    AssignTarget target = {.offset = tokens_.current().offset};
    TANDEM_ASSIGN_OR_RETURN(target.name, ParseTargetName());
    TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("="));
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr value, expressions_.Parse());
    statement->targets.push_back(std::move(target));
    statement->expressions.push_back(std::move(value));
  }
  return ParseBlock("endwith", &statement->body);
}

absl::Status StatementParser::ParseScope(Statement* statement) {
  statement->kind = Kind::kScope;
  const int loops = std::exchange(loops_, 0);
  TANDEM_RETURN_IF_ERROR(ParseBlock("endgeneration", &statement->body));
  loops_ = loops;
  return absl::OkStatus();
}

absl::Status StatementParser::ParsePrint(Statement* statement) {
  statement->kind = Kind::kOutput;
  do {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPtr expression, expressions_.Parse());
    statement->expressions.push_back(std::move(expression));
  } while (tokens_.SkipOperator(","));
  return absl::OkStatus();
}

absl::Status StatementParser::ParseBreak(Statement* statement) {
  statement->kind = Kind::kBreak;
  return loops_ > 0 ? absl::OkStatus()
                    : tokens_.Error("{% break %} stands outside of a loop");
}

absl::Status StatementParser::ParseContinue(Statement* statement) {
  statement->kind = Kind::kContinue;
  return loops_ > 0 ? absl::OkStatus()
                    : tokens_.Error("{% continue %} stands outside of a loop");
}

// Offset of the first byte of `text` that is not UTF-8; text.size() if none.
size_t Utf8End(absl::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Prefix prefix = FirstUtf8(text.substr(at));
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) break;
    at += prefix.bytes;
  }
  return at;
}

}  // namespace

absl::StatusOr<TemplateSyntax> ParseTemplate(absl::string_view source) {
  if (source.size() > kTemplateSourceBytesMax) {
    return TemplateError(absl::StrCat("the template has ", source.size(),
                                      " bytes; at most ",
                                      kTemplateSourceBytesMax, " can be run"));
  }
  TemplateSyntax syntax = {.source = NormalizeTemplateSource(source)};
  if (const size_t end = Utf8End(syntax.source); end < syntax.source.size()) {
    return TemplateErrorAt(syntax.source, end, "the template is not UTF-8");
  }
  TANDEM_ASSIGN_OR_RETURN(std::vector<TemplateToken> token_list,
                          TokenizeTemplate(syntax.source));
  TokenStream tokens(syntax.source, std::move(token_list));
  TANDEM_ASSIGN_OR_RETURN(syntax.body, StatementParser(&tokens).ParseBody({}));
  return syntax;
}

}  // namespace tandem
