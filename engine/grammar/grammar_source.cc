#include "engine/grammar/grammar_source.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/hash.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/free_text.h"
#include "engine/grammar/json/json_rules.h"
#include "engine/grammar/json/schema_compiler.h"
#include "engine/grammar/syntax/gbnf_parser.h"
#include "engine/grammar/syntax/regex_parser.h"
#include "engine/grammar/syntax/text_cursor.h"
#include "engine/grammar/tags_compiler.h"

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

// Of all kinds but kTags.
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
    case GrammarSource::Kind::kTags:
      break;
  }
  return InvalidGrammar("unknown kind of grammar");
}

absl::StatusOr<CompiledTags> CompileSourceTags(const GrammarSource& source,
                                               const TokenTrie& vocabulary,
                                               GrammarBuilder* builder) {
  if (BytesOf(source) > kGrammarSourceBytesMax) {
    return InvalidGrammar(absl::StrCat("tags: the texts have ", BytesOf(source),
                                       " bytes, more than ",
                                       kGrammarSourceBytesMax));
  }
  return CompileTags(source.tags,
                     vocabulary.WithControlTokens(source.answer_begin),
                     vocabulary, builder);
}

// `compiled` after the preamble of `source`, if that has one.
ExprId WithPreamble(const GrammarSource& source, const TokenTrie& vocabulary,
                    const CompiledTags& compiled, GrammarBuilder* builder) {
  GrammarBuilder& b = *builder;
  if (source.preamble_end.empty()) return compiled.text;
  const std::string begin = vocabulary.WithControlTokens(source.preamble_begin);
  const std::string end = vocabulary.WithControlTokens(source.preamble_end);
  const auto up_to_end = [&](ExprId next) {
    return FreeText({{.bytes = end, .next = next}}, b.Never(), builder);
  };
  if (source.kind != GrammarSource::Kind::kTags) {
    // Where the begin is not there, neither is the white space around it.
    const ExprId part = up_to_end(ShortSpace(builder));
    const ExprId preamble =
        begin.empty() ? part
                      : b.Optional(b.Sequence(
                            {ShortSpace(builder), b.Literal(begin), part}));
    return b.Sequence({preamble, compiled.text});
  }
  // These have their own white space.
  const ExprId after_begin = up_to_end(compiled.text);
  if (begin.empty()) return after_begin;
  if (!compiled.trigger.has_value()) {
    return b.OneOf(
        {compiled.text,
         b.Sequence({ShortSpace(builder), b.Literal(begin), after_begin})});
  }
  // Free text that begins like a preamble is one.
  return FreeText({{.bytes = begin,
                    .place = FreeTextMark::Place::kAtStart,
                    .next = after_begin},
                   *compiled.trigger},
                  b.Empty(), builder);
}

}  // namespace

size_t BytesOf(const GrammarSource& source) {
  size_t bytes = source.text.size() + source.preamble_begin.size() +
                 source.preamble_end.size() + source.answer_begin.size();
  for (const std::string& choice : source.choices) bytes += choice.size();
  const TextTags& tags = source.tags;
  bytes += tags.trigger.size() + tags.section_begin.size() +
           tags.separator.size() + tags.section_end.size();
  for (const JsonTag& tag : tags.tags) {
    bytes += tag.begin.size() + tag.json_schema.size() + tag.end.size();
  }
  return bytes;
}

absl::Status CheckPreamble(const GrammarSource& source) {
  if (source.preamble_end.empty() && !source.preamble_begin.empty()) {
    return InvalidGrammar("preamble_begin: is set without preamble_end");
  }
  for (const auto& [field, text] :
       {std::pair<absl::string_view, absl::string_view>{"preamble_begin",
                                                        source.preamble_begin},
        {"preamble_end", source.preamble_end},
        {"answer_begin", source.answer_begin}}) {
    if (text.size() > kPreambleBytesMax) {
      return InvalidGrammar(absl::StrCat(field, ": has ", text.size(),
                                         " bytes, more than ",
                                         kPreambleBytesMax));
    }
    const auto as_text = TextCursor::Of(text);
    if (!as_text.ok()) return Annotate(as_text.status(), field);
  }
  return absl::OkStatus();
}

absl::StatusOr<Grammar> CompileGrammar(const GrammarSource& source) {
  return CompileGrammar(source, TokenTrie({}));
}

absl::StatusOr<Grammar> CompileGrammar(const GrammarSource& source,
                                       const TokenTrie& vocabulary) {
  TANDEM_RETURN_IF_ERROR(CheckPreamble(source));
  GrammarBuilder builder;
  CompiledTags compiled;
  if (source.kind == GrammarSource::Kind::kTags) {
    TANDEM_ASSIGN_OR_RETURN(compiled,
                            CompileSourceTags(source, vocabulary, &builder));
  } else {
    TANDEM_ASSIGN_OR_RETURN(compiled.text, CompileText(source, &builder));
    compiled.text = builder.Sequence(
        {builder.Literal(vocabulary.WithControlTokens(source.answer_begin)),
         compiled.text});
  }
  const ExprId whole = WithPreamble(source, vocabulary, compiled, &builder);
  const RuleId root = builder.AddRule("");
  builder.SetBody(root, whole);
  return builder.Build(root);
}

std::string KeyOf(const GrammarSource& source) {
  Sha256 hash;
  hash.AddNumber(static_cast<uint64_t>(source.kind));
  hash.AddString(source.text);
  hash.AddNumber(source.choices.size());
  for (const std::string& choice : source.choices) hash.AddString(choice);
  const TextTags& tags = source.tags;
  hash.AddNumber(tags.tags.size());
  for (const JsonTag& tag : tags.tags) {
    hash.AddString(tag.begin);
    hash.AddString(tag.json_schema);
    hash.AddString(tag.end);
  }
  hash.AddString(tags.trigger);
  hash.AddNumber(tags.trigger_at_start ? 1 : 0);
  hash.AddString(tags.section_begin);
  hash.AddString(tags.separator);
  hash.AddString(tags.section_end);
  hash.AddNumber(static_cast<uint64_t>(tags.tags_min));
  hash.AddNumber(static_cast<uint64_t>(tags.tags_max));
  hash.AddString(source.preamble_begin);
  hash.AddString(source.preamble_end);
  hash.AddString(source.answer_begin);
  return hash.HexDigest();
}

}  // namespace tandem
