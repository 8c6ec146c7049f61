#include "tests/engine/grammar/oracle/grammar_test_util.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/grammar/automaton/grammar_parser.h"
#include "tests/engine/grammar/oracle/grammar_oracle.h"
#include "tests/engine/tokenizer/known_texts.h"

namespace tandem {

Grammar GrammarOf(GrammarBuilder* builder, ExprId body) {
  const RuleId root = builder->AddRule("root");
  builder->SetBody(root, body);
  auto grammar = builder->Build(root);
  EXPECT_TRUE(grammar.ok()) << grammar.status();
  return grammar.ok() ? *std::move(grammar) : Grammar();
}

std::shared_ptr<const TokenTrie> TrieOfTexts(
    const std::vector<std::string>& texts,
    const std::vector<std::string>& control_names) {
  std::vector<absl::string_view> views(texts.begin(), texts.end());
  std::vector<absl::string_view> names(texts.size(), "");
  views.resize(texts.size() + control_names.size(), "");
  names.insert(names.end(), control_names.begin(), control_names.end());
  return std::make_shared<TokenTrie>(views, names);
}

std::shared_ptr<const TokenTrie> ByteTrie(
    const std::vector<std::string>& more,
    const std::vector<std::string>& control_names) {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) {
    texts.emplace_back(1, static_cast<char>(byte));
  }
  texts.insert(texts.end(), more.begin(), more.end());
  return TrieOfTexts(texts, control_names);
}

std::shared_ptr<const TokenTrie> TrieOf(const Tokenizer& tokenizer) {
  std::vector<absl::string_view> texts;
  std::vector<absl::string_view> names;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    texts.push_back(tokenizer.TokenText(id, /*skip_special=*/true));
    names.push_back(texts.back().empty()
                        ? tokenizer.TokenText(id, /*skip_special=*/false)
                        : "");
  }
  return std::make_shared<TokenTrie>(texts, names);
}

std::vector<std::unique_ptr<Tokenizer>> KnownTokenizers() {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const char* path :
       {"vocabs/llama-spm.gguf", "vocabs/gpt-2.gguf",
        "vocabs/deepseek-coder.gguf", "demo-pair/tales-target-q8_0.gguf"}) {
    auto tokenizer =
        TokenizerOfFile(absl::StrCat(TANDEM_SOURCE_DIR, "/../shared/", path));
    if (tokenizer != nullptr) tokenizers.push_back(std::move(tokenizer));
  }
  return tokenizers;
}

GrammarMatcher MatcherOf(Grammar grammar,
                         std::shared_ptr<const TokenTrie> trie) {
  return GrammarMatcher(
      std::make_shared<TokenMasks>(std::move(grammar), std::move(trie)));
}

namespace {

SetId ReadAll(GrammarParser* parser, absl::string_view text) {
  SetId set = parser->Start();
  for (const char byte : text) {
    set = parser->Step(set, static_cast<uint8_t>(byte));
  }
  return set;
}

}  // namespace

bool Matches(const Grammar& grammar, absl::string_view text) {
  GrammarParser parser(&grammar);
  return parser.set(ReadAll(&parser, text)).may_end;
}

bool MatchesPrefix(const Grammar& grammar, absl::string_view text) {
  GrammarParser parser(&grammar);
  return ReadAll(&parser, text) != kNoSet;
}

std::vector<TokenId> IdsOf(const std::vector<uint64_t>& mask) {
  std::vector<TokenId> ids;
  for (size_t id = 0; id < mask.size() * 64; ++id) {
    if ((mask[id / 64] >> id % 64 & 1) != 0) {
      ids.push_back(static_cast<TokenId>(id));
    }
  }
  return ids;
}

std::vector<TokenId> AllowedTokens(const GrammarMatcher& matcher,
                                   const TokenTrie& trie) {
  std::vector<uint64_t> mask((trie.vocab_size() + 63) / 64, ~uint64_t{0});
  EXPECT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
  return IdsOf(mask);
}

namespace {

// What the oracle allows: every token by itself, but nothing after bytes that
// can not be read.
std::vector<TokenId> OracleTokens(const GrammarOracle& oracle,
                                  const TokenTrie& trie) {
  std::map<std::string, std::optional<GrammarOracle>> after;
  after[""] = oracle;
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < trie.vocab_size(); ++id) {
    const std::string text(trie.text(id));
    if (text.empty()) continue;
    size_t known = text.size();
    while (!after.contains(text.substr(0, known))) --known;
    std::optional<GrammarOracle> reader = after[text.substr(0, known)];
    for (; reader.has_value() && known < text.size(); ++known) {
      if (!reader->Read(text.substr(known, 1))) reader.reset();
      after[text.substr(0, known + 1)] = reader;
    }
    if (reader.has_value()) ids.push_back(id);
  }
  return ids;
}

}  // namespace

void ExpectMasksOfOracle(const Grammar& grammar,
                         const std::shared_ptr<const TokenTrie>& trie,
                         int texts, int tokens, std::mt19937_64* random) {
  const auto masks = std::make_shared<TokenMasks>(grammar, trie);
  for (int text = 0; text < texts; ++text) {
    GrammarMatcher matcher(masks);
    GrammarOracle oracle(&grammar);
    std::string read;
    for (int i = 0; i < tokens; ++i) {
      const std::vector<TokenId> allowed = AllowedTokens(matcher, *trie);
      ASSERT_EQ(allowed, OracleTokens(oracle, *trie)) << absl::CEscape(read);
      ASSERT_EQ(matcher.may_end(), oracle.may_end()) << absl::CEscape(read);
      ASSERT_EQ(matcher.only_ends(), allowed.empty()) << absl::CEscape(read);
      if (allowed.empty()) break;
      const TokenId token = allowed[(*random)() % allowed.size()];
      ASSERT_TRUE(matcher.IsAllowed(token));
      ASSERT_TRUE(matcher.Accept(token).ok());
      ASSERT_TRUE(oracle.Read(trie->text(token)));
      absl::StrAppend(&read, trie->text(token));
    }
  }
}

}  // namespace tandem
