#include "engine/grammar/grammar_source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/hash.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/json_rules.h"
#include "engine/grammar/json/schema_compiler.h"
#include "engine/grammar/syntax/gbnf_parser.h"
#include "engine/grammar/syntax/regex_parser.h"
#include "engine/grammar/syntax/text_cursor.h"

namespace tandem {
namespace {

absl::StatusOr<ExprId> CompileChoices(const std::vector<std::string>& choices,
                                      GrammarBuilder* builder) {
  if (choices.empty() || choices.size() > kChoicesMax) {
    return InvalidGrammar(absl::StrCat("there must be 1 to ", kChoicesMax,
                                       " choices, there are ", choices.size()));
  }
  size_t bytes = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    const auto as_text = TextCursor::Of(choices[i]);
    if (!as_text.ok()) {
      return Annotate(as_text.status(), absl::StrCat("choice ", i));
    }
    if (choices[i].empty()) {
      return InvalidGrammar(absl::StrCat("choice ", i, ": is empty"));
    }
    bytes += choices[i].size();
  }
  if (bytes > kGrammarSourceBytesMax) {
    return InvalidGrammar(absl::StrCat("the choices have ", bytes,
                                       " bytes, more than ",
                                       kGrammarSourceBytesMax));
  }
  return builder->Literals(choices);
}

absl::StatusOr<ExprId> CompileText(const GrammarSource& source,
                                   GrammarBuilder* builder) {
  switch (source.kind) {
    case GrammarSource::Kind::kJsonObject:
      return JsonRules(builder).object();
    case GrammarSource::Kind::kRegex:
      return ParseRegex(source.text, RegexMatch::kWhole, builder);
    case GrammarSource::Kind::kChoices:
      return CompileChoices(source.choices, builder);
    case GrammarSource::Kind::kJsonSchema: {
      TANDEM_ASSIGN_OR_RETURN(const RuleId rule,
                              CompileSchema(source.text, builder));
      return builder->Call(rule);
    }
    case GrammarSource::Kind::kGbnf: {
      TANDEM_ASSIGN_OR_RETURN(const RuleId rule,
                              ParseGbnf(source.text, builder));
      return builder->Call(rule);
    }
  }
  return InvalidGrammar("unknown kind of grammar");
}

}  // namespace

size_t BytesOf(const GrammarSource& source) {
  size_t bytes = source.text.size();
  for (const std::string& choice : source.choices) bytes += choice.size();
  return bytes;
}

absl::StatusOr<Grammar> CompileGrammar(const GrammarSource& source) {
  GrammarBuilder builder;
  TANDEM_ASSIGN_OR_RETURN(const ExprId whole, CompileText(source, &builder));
  const RuleId root = builder.AddRule("");
  builder.SetBody(root, whole);
  return builder.Build(root);
}

std::string KeyOf(const GrammarSource& source) {
  Sha256 hash;
  hash.AddNumber(static_cast<uint64_t>(source.kind));
  hash.AddString(source.text);
  for (const std::string& choice : source.choices) hash.AddString(choice);
  return hash.HexDigest();
}

}  // namespace tandem
