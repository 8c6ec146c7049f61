#include "engine/template/statement_parser.h"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
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
  std::vector<Statement> ParseBody(EndWords ends);

 private:
  struct Tag {
    absl::string_view name;
    Kind kind;
    // Reads all between the name and the last `%}`.
    void (StatementParser::*parser)(Statement*);
  };

  // A name, or a tuple of targets.
  AssignTarget ParseTarget();
  std::string ParseTargetName();
  Statement ParseOutput();
  Statement ParseTag();
  // `%}`, the body and the word that ends it.
  void ParseBlock(absl::string_view end, std::vector<Statement>* body);
  // What may stand before the word that ends an if or a for, and that word.
  void ParseElse(absl::string_view end, Statement* statement);
  void ParseIf(Statement* statement);
  void ParseFor(Statement* statement);
  void ParseSet(Statement* statement);
  void ParseMacro(Statement* statement);
  void ParseCall(Statement* statement);
  void ParseFilter(Statement* statement);
  void ParseWith(Statement* statement);
  void ParseScope(Statement* statement);
  void ParsePrint(Statement* statement);
  void ParseLoopControl(Statement* statement);
  void ParseParameters(Statement* statement);
  // The body of a macro or caller.
  void ParseMacroBody(absl::string_view end, Statement* statement);
  void ExpectBlockEnd() { tokens_.Expect(TokenKind::kBlockEnd, "%}"); }

  TokenStream& tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;  // that are open
};

std::vector<Statement> StatementParser::ParseBody(EndWords ends) {
  if (nesting_ >= kNestingMax) {
    tokens_.Fail(absl::StrCat("blocks are nested more than ", kNestingMax,
                              " levels deep"));
  }
  ++nesting_;
  std::vector<Statement> body;
  bool is_end = false;
  while (!is_end && !tokens_.Is(TokenKind::kEnd)) {
    if (tokens_.Is(TokenKind::kText)) {
      const TemplateToken& text = tokens_.Next();
      body.push_back({.kind = Kind::kText,
                      .offset = text.offset,
                      .text = TemplateValue::Text(text.text)});
    } else if (tokens_.Is(TokenKind::kOutputBegin)) {
      body.push_back(ParseOutput());
    } else {
      tokens_.Expect(TokenKind::kBlockBegin, "a block");
      is_end = absl::c_any_of(
          ends, [this](absl::string_view end) { return tokens_.IsName(end); });
      if (!is_end) body.push_back(ParseTag());
    }
  }
  --nesting_;
  if (!is_end && ends.size() > 0) {
    tokens_.FailUnexpected(
        absl::StrCat("{% ", absl::StrJoin(ends, " %} or {% "), " %}"));
  }
  return body;
}

std::string StatementParser::ParseTargetName() {
  if (tokens_.Is(TokenKind::kName) &&
      ExpressionParser::IsConstantName(tokens_.current().text)) {
    tokens_.Fail(
        absl::StrCat("'", tokens_.current().text, "' can not be assigned to"));
  }
  return tokens_.Expect(TokenKind::kName, "a name").text;
}

AssignTarget StatementParser::ParseTarget() {
  if (nesting_ >= kNestingMax) {
    tokens_.Fail(absl::StrCat("targets are nested more than ", kNestingMax,
                              " levels deep"));
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
      item = ParseTarget();
      --nesting_;
      tokens_.ExpectOperator(")");
    } else {
      item.name = ParseTargetName();
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

Statement StatementParser::ParseOutput() {
  Statement output = {.kind = Kind::kOutput, .offset = tokens_.Next().offset};
  output.expressions.push_back(expressions_.ParseTuple());
  tokens_.Expect(TokenKind::kOutputEnd, "}}");
  return output;
}

Statement StatementParser::ParseTag() {
  static constexpr Tag kTags[] = {
      {"if", Kind::kIf, &StatementParser::ParseIf},
      {"for", Kind::kFor, &StatementParser::ParseFor},
      {"set", Kind::kSet, &StatementParser::ParseSet},
      {"macro", Kind::kMacro, &StatementParser::ParseMacro},
      {"call", Kind::kCall, &StatementParser::ParseCall},
      {"filter", Kind::kFilterBlock, &StatementParser::ParseFilter},
      {"with", Kind::kWith, &StatementParser::ParseWith},
      {"generation", Kind::kScope, &StatementParser::ParseScope},
      {"print", Kind::kOutput, &StatementParser::ParsePrint},
      {"break", Kind::kBreak, &StatementParser::ParseLoopControl},
      {"continue", Kind::kContinue, &StatementParser::ParseLoopControl},
  };
  static constexpr absl::string_view kRefused[] = {
      "include", "import", "from",       "extends", "block",
      "do",      "trans",  "autoescape", "debug"};
  if (!tokens_.Is(TokenKind::kName)) {
    tokens_.FailUnexpected("the name of a block");
    return {};
  }
  const std::string& name = tokens_.current().text;
  for (const Tag& tag : kTags) {
    if (tag.name != name) continue;
    Statement statement = {.kind = tag.kind, .offset = tokens_.Next().offset};
    (this->*tag.parser)(&statement);
    ExpectBlockEnd();
    return statement;
  }
  const bool is_refused = absl::c_linear_search(kRefused, name);
  tokens_.Fail(absl::StrCat("{% ", name, " %} is not ",
                            is_refused ? "supported" : "expected here"));
  return {};
}

void StatementParser::ParseBlock(absl::string_view end,
                                 std::vector<Statement>* body) {
  ExpectBlockEnd();
  *body = ParseBody({end});
  tokens_.ExpectName(end);
}

void StatementParser::ParseElse(absl::string_view end, Statement* statement) {
  if (tokens_.SkipName("else")) {
    ParseBlock(end, &statement->otherwise);
  } else {
    tokens_.ExpectName(end);
  }
}

void StatementParser::ParseIf(Statement* statement) {
  do {
    Statement::Branch branch;
    branch.condition = expressions_.ParseTuple(Conditions::kExcluded);
    ExpectBlockEnd();
    branch.body = ParseBody({"elif", "else", "endif"});
    statement->branches.push_back(std::move(branch));
  } while (tokens_.SkipName("elif"));
  ParseElse("endif", statement);
}

void StatementParser::ParseFor(Statement* statement) {
  statement->targets.push_back(ParseTarget());
  tokens_.ExpectName("in");
  statement->expressions.push_back(
      expressions_.ParseTuple(Conditions::kExcluded));
  if (tokens_.SkipName("if")) statement->condition = expressions_.Parse();
  if (tokens_.IsName("recursive")) {
    tokens_.Fail("recursive loops are not supported");
  }
  ExpectBlockEnd();
  ++loops_;
  statement->body = ParseBody({"endfor", "else"});
  --loops_;
  ParseElse("endfor", statement);
}

void StatementParser::ParseSet(Statement* statement) {
  AssignTarget target = {.offset = tokens_.current().offset};
  if (tokens_.IsFollowedBy(".")) {
    target.name = ParseTargetName();
    tokens_.Next();
    target.attribute = tokens_.Expect(TokenKind::kName, "a name").text;
  } else {
    target = ParseTarget();
  }
  statement->targets.push_back(std::move(target));
  if (tokens_.SkipOperator("=")) {
    statement->expressions.push_back(expressions_.ParseTuple());
    return;
  }
  statement->kind = Kind::kSetBlock;
  if (tokens_.SkipOperator("|")) {
    statement->expressions.push_back(expressions_.ParseCapturedFilters());
  }
  ParseBlock("endset", &statement->body);
}

void StatementParser::ParseParameters(Statement* statement) {
  tokens_.ExpectOperator("(");
  while (!tokens_.IsOperator(")")) {
    MacroParameter parameter = {.name = ParseTargetName(), .default_value = {}};
    if (tokens_.SkipOperator("=")) {
      parameter.default_value = expressions_.Parse();
    } else if (!statement->parameters.empty() &&
               statement->parameters.back().default_value != nullptr) {
      tokens_.Fail("a parameter without default after one with one");
    }
    for (const MacroParameter& other : statement->parameters) {
      if (other.name == parameter.name) {
        tokens_.Fail("a parameter is named twice");
      }
    }
    statement->parameters.push_back(std::move(parameter));
    if (!tokens_.SkipOperator(",")) break;
  }
  tokens_.ExpectOperator(")");
}

void StatementParser::ParseMacroBody(absl::string_view end,
                                     Statement* statement) {
  const size_t begin = tokens_.place();
  // A loop around the macro is none that its body can leave.
  const int loops = std::exchange(loops_, 0);
  ParseBlock(end, &statement->body);
  loops_ = loops;
  statement->takes_varargs = tokens_.HasNameSince(begin, "varargs");
  statement->takes_kwargs = tokens_.HasNameSince(begin, "kwargs");
  statement->takes_caller = tokens_.HasNameSince(begin, "caller");
}

void StatementParser::ParseMacro(Statement* statement) {
  statement->name = ParseTargetName();
  ParseParameters(statement);
  ParseMacroBody("endmacro", statement);
}

void StatementParser::ParseCall(Statement* statement) {
  statement->name = "caller";
  if (tokens_.IsOperator("(")) ParseParameters(statement);
  statement->expressions.push_back(expressions_.ParseTuple());
  if (statement->expressions[0]->kind != Expression::Kind::kCall) {
    tokens_.FailAt(statement->offset, "{% call %} needs the call of a macro");
  }
  ParseMacroBody("endcall", statement);
}

void StatementParser::ParseFilter(Statement* statement) {
  statement->expressions.push_back(expressions_.ParseCapturedFilters());
  ParseBlock("endfilter", &statement->body);
}

void StatementParser::ParseWith(Statement* statement) {
  // The end comes after an error.
  while (!tokens_.Is(TokenKind::kBlockEnd) && !tokens_.Is(TokenKind::kEnd)) {
    if (!statement->targets.empty()) tokens_.ExpectOperator(",");
    AssignTarget target = {.offset = tokens_.current().offset,
                           .name = ParseTargetName()};
    tokens_.ExpectOperator("=");
    statement->targets.push_back(std::move(target));
    statement->expressions.push_back(expressions_.Parse());
  }
  ParseBlock("endwith", &statement->body);
}

void StatementParser::ParseScope(Statement* statement) {
  const int loops = std::exchange(loops_, 0);
  ParseBlock("endgeneration", &statement->body);
  loops_ = loops;
}

void StatementParser::ParsePrint(Statement* statement) {
  do {
    statement->expressions.push_back(expressions_.Parse());
  } while (tokens_.SkipOperator(","));
}

void StatementParser::ParseLoopControl(Statement* statement) {
  if (loops_ > 0) return;
  const bool is_break = statement->kind == Kind::kBreak;
  tokens_.Fail(absl::StrCat("{% ", is_break ? "break" : "continue",
                            " %} stands outside of a loop"));
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
  syntax.body = StatementParser(&tokens).ParseBody({});
  TANDEM_RETURN_IF_ERROR(tokens.status());
  return syntax;
}

}  // namespace tandem
