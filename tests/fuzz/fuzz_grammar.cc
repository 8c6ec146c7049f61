// Fuzz target: sources of grammars. The first byte says the kind (S, R, G, C or
// T), the others are the source; of T they are fields with tabs between them.
// Before that may stand P and a preamble: its begin, its end, a tab after each;
// and behind these A and an answer_begin with a tab after it.
// What compiles is read along a text that its masks allow: a mask has just the
// tokens that can be read, something is allowed wherever the text may not end,
// and reading again gives the same. An error is one line.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/grammar/automaton/grammar_matcher.h"
#include "engine/grammar/grammar_source.h"

namespace tandem {
namespace {

constexpr size_t kTokensMax = 24;

// All bytes, some words of JSON and of tags, and two control tokens.
const std::shared_ptr<const TokenTrie>& Trie() {
  static const auto* const trie = [] {
    std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte) {
      texts.emplace_back(1, static_cast<char>(byte));
    }
    for (const char* text :
         {"\": ", "\",", "\"}", "},", "]]", "ab", "aba", "12", "1,", "\xE2\x82",
          "{\"", "\n  ", "true", "<t>", "<t>{", "}</t", "}\n<"}) {
      texts.emplace_back(text);
    }
    std::vector<absl::string_view> views(texts.begin(), texts.end());
    std::vector<absl::string_view> control_names(views.size(), "");
    for (const char* name : {"<call>", "<end>"}) {
      views.emplace_back("");
      control_names.emplace_back(name);
    }
    return new std::shared_ptr<const TokenTrie>(
        std::make_shared<const TokenTrie>(views, control_names));
  }();
  return *trie;
}

// What stands before the next tab, taken off `text`.
std::string TakeField(absl::string_view* text) {
  const size_t end = std::min(text->find('\t'), text->size());
  std::string field(text->substr(0, end));
  text->remove_prefix(std::min(end + 1, text->size()));
  return field;
}

// A number of up to one byte: that of the field's first character from '0' on.
int TakeNumber(absl::string_view* text) {
  const std::string field = TakeField(text);
  return field.empty() ? 0 : field[0] - '0';
}

TextTags TagsOf(absl::string_view text) {
  TextTags tags;
  tags.trigger = TakeField(&text);
  tags.trigger_at_start = TakeNumber(&text) != 0;
  tags.section_begin = TakeField(&text);
  tags.separator = TakeField(&text);
  tags.section_end = TakeField(&text);
  tags.tags_min = TakeNumber(&text);
  tags.tags_max = TakeNumber(&text);
  while (!text.empty()) {
    JsonTag& tag = tags.tags.emplace_back();
    tag.begin = TakeField(&text);
    tag.json_schema = TakeField(&text);
    tag.end = TakeField(&text);
  }
  return tags;
}

// Of an `input` that is not empty, without preamble and answer_begin.
GrammarSource SourceOf(absl::string_view input) {
  const std::string text(input.substr(1));
  switch (input[0]) {
    case 'S':
      return {.kind = GrammarSource::Kind::kJsonSchema, .text = text};
    case 'R':
      return {.kind = GrammarSource::Kind::kRegex, .text = text};
    case 'G':
      return {.kind = GrammarSource::Kind::kGbnf, .text = text};
    case 'T':
      return {.kind = GrammarSource::Kind::kTags, .tags = TagsOf(text)};
    default:
      return {.kind = GrammarSource::Kind::kChoices,
              .choices = absl::StrSplit(text, '\n')};
  }
}

std::vector<uint64_t> MaskOf(const GrammarMatcher& matcher) {
  std::vector<uint64_t> mask((Trie()->vocab_size() + 63) / 64);
  if (!matcher.FillMask(absl::MakeSpan(mask)).ok()) mask.clear();
  return mask;
}

void TryMasks(const std::shared_ptr<const TokenMasks>& masks, uint64_t seed) {
  GrammarMatcher matcher(masks);
  std::vector<TokenId> tokens;
  while (!matcher.only_ends() && tokens.size() < kTokensMax) {
    const std::vector<uint64_t> mask = MaskOf(matcher);
    if (mask.empty()) return;
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < Trie()->vocab_size(); ++id) {
      const bool is_allowed = (mask[id / 64] >> id % 64 & 1) != 0;
      if (is_allowed) allowed.push_back(id);
      // Where a limit is passed a mask may have more.
      TANDEM_CHECK(is_allowed || !matcher.IsAllowed(id));
    }
    TANDEM_CHECK(!allowed.empty());
    seed = SplitMix64(seed);
    const TokenId token = allowed[seed % allowed.size()];
    if (!matcher.Accept(token).ok()) return;
    tokens.push_back(token);
  }
  const std::vector<uint64_t> last = MaskOf(matcher);
  matcher.Truncate(tokens.size() / 2);
  for (size_t i = tokens.size() / 2; i < tokens.size(); ++i) {
    TANDEM_CHECK(matcher.Accept(tokens[i]).ok());
  }
  TANDEM_CHECK(MaskOf(matcher) == last);
}

void TryInput(absl::string_view input) {
  std::string preamble_begin;
  std::string preamble_end;
  if (absl::ConsumePrefix(&input, "P")) {
    preamble_begin = TakeField(&input);
    preamble_end = TakeField(&input);
  }
  std::string answer_begin;
  if (absl::ConsumePrefix(&input, "A")) answer_begin = TakeField(&input);
  if (input.empty()) return;
  GrammarSource source = SourceOf(input);
  source.preamble_begin = std::move(preamble_begin);
  source.preamble_end = std::move(preamble_end);
  source.answer_begin = std::move(answer_begin);
  auto grammar = CompileGrammar(source, *Trie());
  if (!grammar.ok()) {
    TANDEM_CHECK(grammar.status().code() == absl::StatusCode::kInvalidArgument);
    TANDEM_CHECK(!absl::StrContains(grammar.status().message(), "\n"));
    return;
  }
  const auto masks =
      std::make_shared<const TokenMasks>(*std::move(grammar), Trie());
  for (uint64_t seed = 0; seed < 2; ++seed) TryMasks(masks, seed);
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryInput(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
