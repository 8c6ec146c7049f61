#include "engine/grammar/automaton/token_trie.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tandem {
namespace {

using ::testing::UnorderedElementsAre;

TokenTrie TrieOfTexts(const std::vector<std::string>& texts) {
  return TokenTrie(std::vector<absl::string_view>(texts.begin(), texts.end()));
}

// What each node spells, with its tokens.
std::map<std::string, std::set<TokenId>> Spelt(const TokenTrie& trie) {
  std::map<std::string, std::set<TokenId>> spelt;
  std::string path;
  for (const TokenTrie::Node& node : trie.nodes()) {
    path.resize(node.depth - 1);
    path.push_back(static_cast<char>(node.byte));
    for (uint32_t t = node.tokens_begin; t < node.tokens_end; ++t) {
      spelt[path].insert(trie.tokens()[t]);
    }
  }
  return spelt;
}

TEST(TokenTrieTest, NodesSpellTheTokens) {
  const TokenTrie trie = TrieOfTexts(
      {"ab", "", "a", "b", "abc", "ab", "xyz", "\xE2\x82", "\xFF", "a\xC0"});
  EXPECT_EQ(trie.vocab_size(), 10);
  using Ids = std::set<TokenId>;
  EXPECT_THAT(Spelt(trie),
              UnorderedElementsAre(
                  std::pair("a", Ids{2}), std::pair("ab", Ids{0, 5}),
                  std::pair("abc", Ids{4}), std::pair("b", Ids{3}),
                  std::pair("xyz", Ids{6}), std::pair("\xE2\x82", Ids{7})));
  EXPECT_EQ(trie.text(0), "ab");
  EXPECT_EQ(trie.text(1), "");
  EXPECT_EQ(trie.text(8), "");  // not of UTF-8
}

TEST(TokenTrieTest, SubtreesEndBehindTheirNodes) {
  const TokenTrie trie = TrieOfTexts({"a", "ab", "abc", "ad", "b"});
  std::vector<uint32_t> ends;
  for (const TokenTrie::Node& node : trie.nodes()) ends.push_back(node.end);
  EXPECT_EQ(ends, (std::vector<uint32_t>{4, 3, 3, 4, 5}));
}

TEST(TokenTrieTest, FindsTheLongestToken) {
  const TokenTrie trie = TrieOfTexts({"a", "abc", "b", "bcd"});
  EXPECT_EQ(trie.LongestIn("abcd"), 1);
  EXPECT_EQ(trie.LongestIn("abd"), 0);
  EXPECT_EQ(trie.LongestIn("bc"), 2);
  EXPECT_EQ(trie.LongestIn("x"), -1);
  EXPECT_EQ(trie.LongestIn(""), -1);
  EXPECT_EQ(TokenTrie({}).LongestIn("a"), -1);
}

// Tokens "a" and "", and control tokens behind them.
TokenTrie TrieOfControls(std::vector<absl::string_view> names) {
  std::vector<absl::string_view> texts = {"a", ""};
  texts.resize(2 + names.size(), "");
  names.insert(names.begin(), {"not used", ""});
  return TokenTrie(texts, names);
}

TEST(TokenTrieTest, ControlTokensStandBesideAllTexts) {
  const std::string too_long(kControlNameBytesMax + 1, 'x');
  const TokenTrie trie = TrieOfControls({"<a>", "a", "\xFE", too_long, "<a>"});
  using Ids = std::set<TokenId>;
  EXPECT_THAT(Spelt(trie),
              UnorderedElementsAre(std::pair("a", Ids{0}),
                                   std::pair("\xFF<a>\xFE", Ids{2, 6}),
                                   std::pair("\xFF"
                                             "a\xFE",
                                             Ids{3})));
  const std::vector<bool> is_control = {false, false, true, true,
                                        false, false, true};
  for (TokenId id = 0; id < trie.vocab_size(); ++id) {
    EXPECT_EQ(trie.IsControl(id), is_control[static_cast<size_t>(id)]) << id;
  }
  EXPECT_EQ(trie.LongestIn("\xFF<a>\xFE"), 2);
  EXPECT_EQ(trie.LongestIn("<a>"), -1);
}

TEST(TokenTrieTest, NamesOfControlTokensAreFoundInTexts) {
  const TokenTrie trie = TrieOfControls({"<a>", "<a>bc", "<|\xEF\xBD\x9C|>"});
  const auto with = [&trie](absl::string_view text) {
    return trie.WithControlTokens(text);
  };
  EXPECT_EQ(with(""), "");
  EXPECT_EQ(with("a<a"), "a<a");
  EXPECT_EQ(with("<<a>b<"),
            "<\xFF<a>\xFE"
            "b<");
  EXPECT_EQ(with("<a><a>bc<a>bd"),
            "\xFF<a>\xFE\xFF<a>bc\xFE\xFF<a>\xFE"
            "bd");
  EXPECT_EQ(with("<|\xEF\xBD\x9C|>"), "\xFF<|\xEF\xBD\x9C|>\xFE");
  EXPECT_EQ(TokenTrie({}).WithControlTokens("<a>"), "<a>");
}

}  // namespace
}  // namespace tandem
