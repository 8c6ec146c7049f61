#include "engine/grammar/tags_compiler.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/grammar/json/json_rules.h"
#include "engine/grammar/json/schema_compiler.h"
#include "engine/grammar/syntax/text_cursor.h"

namespace tandem {
namespace {

std::string PlaceOf(size_t tag, absl::string_view field) {
  return absl::StrCat("tags[", tag, "].", field);
}

// A text and what follows it.
struct Branch {
  std::string text;
  ExprId next = 0;
};

// One of `branches`, ascending, without their first `depth` bytes: one path for
// what texts have in common at their beginning.
ExprId OneOfBranches(absl::Span<const Branch> branches, size_t depth,
                     GrammarBuilder* builder) {
  const std::string& first = branches.front().text;
  const std::string& last = branches.back().text;
  const auto common = static_cast<size_t>(
      std::mismatch(first.begin(), first.end(), last.begin(), last.end())
          .first -
      first.begin());
  std::vector<ExprId> parts;
  for (size_t begin = 0; begin < branches.size();) {
    if (branches[begin].text.size() == common) {
      parts.push_back(branches[begin++].next);
      continue;
    }
    size_t end = begin + 1;
    while (end < branches.size() &&
           branches[end].text[common] == branches[begin].text[common]) {
      ++end;
    }
    parts.push_back(
        OneOfBranches(branches.subspan(begin, end - begin), common, builder));
    begin = end;
  }
  return builder->Sequence(
      {builder->Literal(first.substr(depth, common - depth)),
       builder->OneOf(std::move(parts))});
}

class TagsCompiler {
 public:
  TagsCompiler(const TextTags& tags, absl::string_view answer_begin,
               const TokenTrie& vocabulary, GrammarBuilder* builder)
      : tags_(tags),
        answer_begin_(answer_begin),
        vocabulary_(vocabulary),
        b_(*builder),
        json_(builder),
        trigger_(vocabulary.WithControlTokens(tags.trigger)),
        section_begin_(vocabulary.WithControlTokens(tags.section_begin)) {}

  absl::StatusOr<CompiledTags> Compile() {
    TANDEM_RETURN_IF_ERROR(CheckCounts());
    TANDEM_RETURN_IF_ERROR(CheckTexts());
    TANDEM_RETURN_IF_ERROR(CompileEachTag());
    if (tags_.tags_min > 0) {
      return CompiledTags{.text = b_.Sequence({ShortSpace(&b_), Section("")})};
    }
    const bool has_section = tags_.tags_max > 0 && !tags_.tags.empty();
    const RuleId section = b_.AddRule("tags");
    b_.SetBody(section, has_section ? Section(trigger_) : b_.Never());
    if (!answer_begin_.empty()) {
      const ExprId answer = b_.Sequence(
          {b_.Literal(answer_begin_), FreeText({}, b_.Empty(), &b_)});
      const ExprId tags = b_.Sequence({b_.Literal(trigger_), b_.Call(section)});
      return CompiledTags{
          .text = b_.Sequence({ShortSpace(&b_), b_.OneOf({answer, tags})})};
    }
    const FreeTextMark trigger{.bytes = trigger_,
                               .place = tags_.trigger_at_start
                                            ? FreeTextMark::Place::kAtStart
                                            : FreeTextMark::Place::kAnywhere,
                               .next = b_.Call(section)};
    return CompiledTags{.text = FreeText({trigger}, b_.Empty(), &b_),
                        .trigger = trigger};
  }

 private:
  std::string Bytes(absl::string_view text) const {
    return vocabulary_.WithControlTokens(text);
  }

  absl::Status CheckCounts() const {
    if (tags_.tags.size() > kTagsMax) {
      return InvalidGrammar(absl::StrCat("tags: there are ", tags_.tags.size(),
                                         ", more than ", kTagsMax));
    }
    if (tags_.tags_max < 0 || tags_.tags_max > kTagCountMax) {
      return InvalidGrammar(absl::StrCat(
          "tags_max: must be 0 to ", kTagCountMax, ", is ", tags_.tags_max));
    }
    if (tags_.tags_min < 0 || tags_.tags_min > tags_.tags_max) {
      return InvalidGrammar(absl::StrCat("tags_min: must be 0 to tags_max, ",
                                         tags_.tags_max, ", is ",
                                         tags_.tags_min));
    }
    if (tags_.tags_min > 0 && tags_.tags.empty()) {
      return InvalidGrammar(absl::StrCat("tags_min: is ", tags_.tags_min,
                                         ", but there are no tags"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckTexts() const {
    std::vector<std::pair<std::string, absl::string_view>> texts = {
        {"trigger", tags_.trigger},
        {"section_begin", tags_.section_begin},
        {"separator", tags_.separator},
        {"section_end", tags_.section_end}};
    for (size_t i = 0; i < tags_.tags.size(); ++i) {
      if (tags_.tags[i].begin.empty()) {
        return InvalidGrammar(absl::StrCat(PlaceOf(i, "begin"), ": is empty"));
      }
      texts.emplace_back(PlaceOf(i, "begin"), tags_.tags[i].begin);
      texts.emplace_back(PlaceOf(i, "end"), tags_.tags[i].end);
    }
    for (const auto& [place, text] : texts) {
      const auto as_text = TextCursor::Of(text);
      if (!as_text.ok()) return Annotate(as_text.status(), place);
    }
    return CheckTrigger();
  }

  absl::Status CheckTrigger() const {
    if (tags_.trigger.empty()) return InvalidGrammar("trigger: is empty");
    if (tags_.trigger.size() > kTextMarkBytesMax) {
      return InvalidGrammar(absl::StrCat("trigger: has ", tags_.trigger.size(),
                                         " bytes, more than ",
                                         kTextMarkBytesMax));
    }
    for (size_t i = 0; i < tags_.tags.size(); ++i) {
      const std::string begin =
          absl::StrCat(section_begin_, Bytes(tags_.tags[i].begin));
      if (!absl::StartsWith(begin, trigger_)) {
        return InvalidGrammar(absl::StrCat(
            "trigger: ", PlaceOf(i, "begin"),
            ", with section_begin before it, does not begin with it"));
      }
    }
    return absl::OkStatus();
  }

  // Fills after_begin_.
  absl::Status CompileEachTag() {
    for (size_t i = 0; i < tags_.tags.size(); ++i) {
      const JsonTag& tag = tags_.tags[i];
      ExprId json = json_.object();
      if (!tag.json_schema.empty()) {
        const std::string place = PlaceOf(i, "json_schema");
        TANDEM_ASSIGN_OR_RETURN(
            const RuleId schema,
            CompileSchema({.text = tag.json_schema, .place = place}, &json_));
        json = b_.Call(schema);
      }
      const RuleId rule = b_.AddRule(absl::StrCat("tags[", i, "]"));
      b_.SetBody(rule, b_.Sequence({json, b_.Literal(Bytes(tag.end))}));
      after_begin_.push_back(b_.Call(rule));
    }
    return b_.status();
  }

  // A tag with `before` before it, without the first `skipped` bytes.
  ExprId AnyTag(absl::string_view before, size_t skipped) {
    std::vector<Branch> branches;
    for (size_t i = 0; i < tags_.tags.size(); ++i) {
      branches.push_back(
          {.text = absl::StrCat(before, Bytes(tags_.tags[i].begin)),
           .next = after_begin_[i]});
    }
    std::stable_sort(
        branches.begin(), branches.end(),
        [](const Branch& a, const Branch& b) { return a.text < b.text; });
    return OneOfBranches(branches, skipped, &b_);
  }

  // All tags and what stands around them; `read` of it was read before.
  ExprId Section(absl::string_view read) {
    const auto least = static_cast<uint32_t>(std::max(tags_.tags_min, 1));
    const auto most = static_cast<uint32_t>(tags_.tags_max);
    return b_.Sequence({AnyTag(section_begin_, read.size()),
                        b_.Repeat(AnyTag(Bytes(tags_.separator), 0),
                                  {.least = least - 1, .most = most - 1}),
                        b_.Literal(Bytes(tags_.section_end))});
  }

  const TextTags& tags_;
  const absl::string_view answer_begin_;
  const TokenTrie& vocabulary_;
  GrammarBuilder& b_;
  JsonRules json_;
  const std::string trigger_;
  const std::string section_begin_;
  std::vector<ExprId> after_begin_;  // [tags]
};

}  // namespace

absl::StatusOr<CompiledTags> CompileTags(const TextTags& tags,
                                         absl::string_view answer_begin,
                                         const TokenTrie& vocabulary,
                                         GrammarBuilder* builder) {
  return TagsCompiler(tags, answer_begin, vocabulary, builder).Compile();
}

}  // namespace tandem
