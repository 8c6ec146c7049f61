// Measures the grammar engine: the time to compile a schema of 50 properties,
// and that of the masks along random texts of it, each mask's first use too.
//
//   tandem-grammar-bench VOCABULARY.gguf [TOKENS]
//
// A vocabulary with fewer than TOKENS (128,000) is filled up with pairs of its
// tokens.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/gguf/gguf_file.h"
#include "engine/grammar/automaton/grammar_matcher.h"
#include "engine/grammar/grammar_source.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kProperties = 50;
constexpr int kTexts = 40;
constexpr size_t kTextTokensMax = 2000;

double MicrosecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin)
      .count();
}

// Strings, numbers, lists, enumerations and objects.
std::string Schema() {
  const char* const kinds[] = {
      R"({"type": "string"})",
      R"({"type": "integer", "minimum": 0, "maximum": 5000})",
      R"({"type": "string", "maxLength": 80})",
      R"({"type": "array", "items": {"type": "string"}, "maxItems": 10})",
      R"({"enum": ["red", "green", "blue", "none"]})",
      R"({"type": "number"})",
      R"({"type": "boolean"})",
      R"({"type": "string", "format": "date"})",
      R"({"type": "object", "properties": {"x": {"type": "number"},
          "y": {"type": "number"}}, "required": ["x", "y"],
          "additionalProperties": false})",
      R"({"type": ["string", "null"], "pattern": "^[A-Z][a-z]+( [A-Z][a-z]+)*$"})"};
  std::string schema = R"({"type": "object", "additionalProperties": false,
                           "properties": {)";
  std::string required;
  for (int i = 0; i < kProperties; ++i) {
    absl::StrAppend(&schema, i > 0 ? "," : "", "\"property_", i,
                    "\": ", kinds[i % std::size(kinds)]);
    if (i % 3 != 0) {
      absl::StrAppend(&required, required.empty() ? "" : ",", "\"property_", i,
                      "\"");
    }
  }
  return absl::StrCat(schema, "}, \"required\": [", required, "]}");
}

std::shared_ptr<const TokenTrie> TrieOf(const Tokenizer& tokenizer,
                                        size_t tokens) {
  std::vector<std::string> texts;
  std::unordered_set<std::string> known;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    texts.emplace_back(tokenizer.TokenText(id, /*skip_special=*/true));
    known.insert(texts.back());
  }
  std::mt19937_64 random(1);
  const size_t own = texts.size();
  while (texts.size() < tokens) {
    const std::string pair = texts[random() % own] + texts[random() % own];
    if (known.insert(pair).second) texts.push_back(pair);
  }
  const std::vector<absl::string_view> views(texts.begin(), texts.end());
  return std::make_shared<const TokenTrie>(views);
}

// Times of the masks of one random text, in which longer tokens are likelier
// and strings end sooner or later.
void MeasureText(const std::shared_ptr<const TokenMasks>& masks, uint64_t seed,
                 std::vector<double>* times) {
  std::mt19937_64 random(seed);
  GrammarMatcher matcher(masks);
  std::vector<uint64_t> mask(masks->mask_words());
  while (!matcher.only_ends() && matcher.length() < kTextTokensMax) {
    const Clock::time_point begin = Clock::now();
    if (!matcher.FillMask(absl::MakeSpan(mask)).ok()) std::abort();
    times->push_back(MicrosecondsSince(begin));
    std::vector<TokenId> allowed;
    std::vector<TokenId> ends;
    for (TokenId id = 0; id < masks->trie().vocab_size(); ++id) {
      if ((mask[id / 64] >> id % 64 & 1) == 0) continue;
      allowed.push_back(id);
      const absl::string_view text = masks->trie().text(id);
      if (text.find_first_of("\"}],") != absl::string_view::npos) {
        ends.push_back(id);
      }
    }
    const auto& from = !ends.empty() && random() % 4 == 0 ? ends : allowed;
    if (from.empty()) return;  // the vocabulary has no token for what follows
    if (!matcher.Accept(from[random() % from.size()]).ok()) std::abort();
  }
}

void Print(const char* what, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const auto at = [&times](double part) {
    return times[static_cast<size_t>(part * (times.size() - 1))];
  };
  std::printf("%s: %zu masks, p50 %.1f us, p99 %.1f us, most %.1f us\n", what,
              times.size(), at(0.5), at(0.99), at(1));
}

int Run(const char* path, size_t tokens) {
  const auto file = GgufFile::Open(path);
  if (!file.ok()) return 1;
  const auto tokenizer = Tokenizer::FromGguf(**file);
  if (!tokenizer.ok()) return 1;
  Clock::time_point begin = Clock::now();
  const auto trie = TrieOf(**tokenizer, tokens);
  std::printf("vocabulary: %d tokens, %zu nodes, %.1f ms\n", trie->vocab_size(),
              trie->nodes().size(), MicrosecondsSince(begin) / 1000);
  begin = Clock::now();
  auto grammar = CompileGrammar(
      {.kind = GrammarSource::Kind::kJsonSchema, .text = Schema()});
  if (!grammar.ok()) return 1;
  std::printf("schema of %d properties: %zu states, compiled in %.2f ms\n",
              kProperties, grammar->states.size(),
              MicrosecondsSince(begin) / 1000);
  const auto masks =
      std::make_shared<const TokenMasks>(*std::move(grammar), trie);
  std::vector<double> first;
  MeasureText(masks, 0, &first);
  Print("first text", first);
  std::vector<double> all = first;
  for (uint64_t seed = 1; seed < kTexts; ++seed) {
    MeasureText(masks, seed, &all);
  }
  Print("all texts", all);
  begin = Clock::now();
  masks->Warm(SIZE_MAX);
  std::printf("masks of all other states: %.1f ms\n",
              MicrosecondsSince(begin) / 1000);
  return 0;
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s VOCABULARY.gguf [TOKENS]\n", argv[0]);
    return 2;
  }
  const size_t tokens =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 128'000;
  return tandem::Run(argv[1], tokens);
}
