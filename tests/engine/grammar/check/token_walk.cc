#include "tests/engine/grammar/check/token_walk.h"

#include <iterator>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/types/span.h"
#include "engine/gguf/gguf_file.h"
#include "engine/sampling/token_constraint.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

absl::StatusOr<std::vector<TokenId>> AllowedTokens(int vocab_size,
                                                   TokenConstraint* turn) {
  std::vector<float> logits(vocab_size, 0.0f);
  TANDEM_RETURN_IF_ERROR(turn->Apply(absl::MakeSpan(logits)));
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < vocab_size; ++id) {
    if (logits[id] == 0.0f) ids.push_back(id);
  }
  return ids;
}

std::string HexOf(const std::vector<TokenId>& ids, int vocab_size) {
  std::string bytes((vocab_size + 7) / 8, '\0');
  for (const TokenId id : ids) {
    bytes[id / 8] = static_cast<char>(bytes[id / 8] | 1 << id % 8);
  }
  return absl::BytesToHexString(bytes);
}

// One of `ids` that ends nothing; -1 where there is none. The first byte is
// drawn and then a token that begins with it: a walk would hardly leave a
// string otherwise, since nearly all tokens go on with it.
TokenId Draw(const std::vector<TokenId>& ids, const Tokenizer& tokenizer,
             std::mt19937_64* random) {
  std::map<char, std::vector<TokenId>> by_byte;
  for (const TokenId id : ids) {
    if (tokenizer.IsEndOfGeneration(id)) continue;
    by_byte[tokenizer.TokenText(id, /*skip_special=*/true)[0]].push_back(id);
  }
  if (by_byte.empty()) return -1;
  auto drawn = by_byte.begin();
  std::advance(drawn, (*random)() % by_byte.size());
  return drawn->second[(*random)() % drawn->second.size()];
}

}  // namespace

absl::StatusOr<TokenWalk> TokenWalk::Open(const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(const auto file, GgufFile::Open(path));
  TANDEM_ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::FromGguf(*file));
  return TokenWalk(std::move(tokenizer));
}

Json TokenWalk::Vocabulary() const {
  Json pieces = Json::array();
  Json texts = Json::array();
  Json special = Json::array();
  for (TokenId id = 0; id < tokenizer_->vocab_size(); ++id) {
    pieces.push_back(absl::BytesToHexString(tokenizer_->piece(id)));
    const bool is_special =
        tokenizer_->TokenText(id, /*skip_special=*/true).empty();
    if (is_special) special.push_back(id);
    texts.push_back(absl::BytesToHexString(
        tokenizer_->TokenText(id, /*skip_special=*/false)));
  }
  const auto ends = tokenizer_->end_tokens();
  return {{"pieces", pieces},
          {"texts", texts},
          {"special", special},
          {"ends", std::vector<TokenId>(ends.begin(), ends.end())}};
}

absl::StatusOr<Json> TokenWalk::Walk(const GrammarSource& source,
                                     const WalkOptions& options) const {
  TANDEM_ASSIGN_OR_RETURN(const auto masks, tokenizer_->grammars().Get(source));
  const auto ends = tokenizer_->end_tokens();
  TokenConstraint turn(
      {.masks = masks, .stop_tokens = {ends.begin(), ends.end()}});
  std::mt19937_64 random(options.seed);
  Json steps = Json::array();
  TokenId token = 0;
  for (int i = 0; token >= 0; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                            AllowedTokens(tokenizer_->vocab_size(), &turn));
    token = i < options.tokens_max ? Draw(ids, *tokenizer_, &random) : -1;
    steps.push_back(
        {{"mask", HexOf(ids, tokenizer_->vocab_size())}, {"token", token}});
    if (token >= 0) TANDEM_RETURN_IF_ERROR(turn.Append(token));
  }
  return steps;
}

}  // namespace tandem
