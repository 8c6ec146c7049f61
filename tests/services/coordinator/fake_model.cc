#include "tests/services/coordinator/fake_model.h"

#include <variant>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

constexpr TokenId kEndOfText = 2;
constexpr TokenId kFirstByte = 3;
constexpr TokenId kFirstPiece = kFirstByte + 256;
constexpr int kPieces = 41;

uint64_t Hash(absl::Span<const TokenId> prefix, uint64_t salt) {
  uint64_t hash = 0xcbf29ce484222325ull ^ salt;
  for (const TokenId id : prefix) {
    hash = (hash ^ static_cast<uint64_t>(id)) * 0x100000001b3ull;
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdull;
  return hash ^ (hash >> 33);
}

}  // namespace

std::string FakeTokenizerImage(const std::string& variant, int fillers) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  for (int i = 0; i + 1 < kPieces; ++i) {
    // Some of more than one byte a character, some with a space before.
    vocabulary.Add(absl::StrCat(i % 3 == 0 ? "\xE2\x96\x81" : "", "w", i,
                                i % 5 == 0 ? "\xC3\xA4" : ""),
                   TokenKind::kNormal, -static_cast<float>(i));
  }
  vocabulary.Add("last" + variant);
  for (int i = 0; i < fillers; ++i) {
    vocabulary.Add(absl::StrCat("[PAD", kFirstPiece + kPieces + i, "]"),
                   TokenKind::kUnused);
  }
  GgufWriter writer = vocabulary.Writer();
  writer.SetString(kChatTemplateKey,
                   "{% for m in messages %}{% if m.content == 'refuse me' %}"
                   "{{ raise_exception('asked to refuse') }}{% endif %}"
                   "{{ '<|' + m.role + '|>\\n' + "
                   "m.content + eos_token + '\\n' }}{% endfor %}"
                   "{{ mood }}"
                   "{{ '<|assistant|>\\n' }}");
  writer.SetUint32("tokenizer.ggml.bos_token_id", 1);
  writer.SetUint32("tokenizer.ggml.eos_token_id", kEndOfText);
  writer.SetUint32("tokenizer.ggml.unknown_token_id", 0);
  return writer.Serialize();
}

std::shared_ptr<const Tokenizer> FakeTokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer = [] {
    const auto file = GgufFile::FromBytes(FakeTokenizerImage(), "fake");
    return std::shared_ptr<const Tokenizer>(
        std::move(Tokenizer::FromGguf(**file)).value());
  }();
  return tokenizer;
}

TokenId FakeTargetToken(absl::Span<const TokenId> prefix) {
  if (prefix.size() > kFakePeriod && prefix[0] == kFakeRepeat) {
    return prefix[prefix.size() - kFakePeriod];
  }
  const uint64_t hash = Hash(prefix, 0);
  if (hash % 300 == 0) return kEndOfText;
  // Bytes make unfinished and malformed characters on the way.
  if (hash % 7 == 0) {
    return kFirstByte + static_cast<TokenId>((hash >> 20) % 256);
  }
  return kFirstPiece + static_cast<TokenId>((hash >> 20) % kPieces);
}

TokenId FakeDraftToken(absl::Span<const TokenId> prefix) {
  const TokenId token = FakeTargetToken(prefix);
  return Hash(prefix, 1) % 10 < 7 ? token : kFirstPiece;
}

std::vector<ScoredToken> FakeScores(absl::Span<const TokenId> tokens,
                                    Position from, size_t count,
                                    int alternatives) {
  std::vector<ScoredToken> scores;
  for (size_t i = static_cast<size_t>(from);
       i < tokens.size() && scores.size() < count; ++i) {
    const auto id = static_cast<size_t>(tokens[i]);
    scores.push_back(
        {.token = {.logprob = -static_cast<float>(1 + (id * 31 + i) % 97) / 8},
         .is_greedy = (id + i) % 8 != 0});
    for (int k = 0; k < alternatives; ++k) {
      scores.back().token.alternatives.push_back(
          {.id = static_cast<TokenId>(i % 5) + k,
           .logprob = -static_cast<float>(k + 1) / 4});
    }
  }
  return scores;
}

bool FakeSequence::Extend(Position position, absl::Span<const TokenId> tokens) {
  if (position < 0 || position > static_cast<Position>(tokens_.size()) ||
      tokens.empty()) {
    return false;
  }
  tokens_.resize(static_cast<size_t>(position));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return true;
}

std::vector<TokenId> FakeSequence::Propose(int draft_length) {
  std::vector<TokenId> prefix = tokens_;
  std::vector<TokenId> draft;
  for (int i = 0; i < draft_length; ++i) {
    draft.push_back(FakeDraftToken(prefix));
    prefix.push_back(draft.back());
  }
  // It has run all but the last of them.
  if (draft_length > 1) tokens_.assign(prefix.begin(), prefix.end() - 1);
  return draft;
}

std::vector<TokenId> FakeSequence::Verify(absl::Span<const TokenId> draft) {
  std::vector<TokenId> prefix = tokens_;
  std::vector<TokenId> chosen;
  for (size_t i = 0; i <= draft.size(); ++i) {
    chosen.push_back(FakeTargetToken(prefix));
    prefix.push_back(chosen.back());
    if (i == draft.size() || chosen.back() != draft[i]) break;
  }
  // It has run what it accepted, not what it chose last.
  tokens_.assign(prefix.begin(), prefix.end() - 1);
  return chosen;
}

PlainResult PlainRun(const TurnSpec& spec) {
  Turn turn(FakeTokenizer().get(), spec);
  PlainResult result;
  std::vector<TurnAction> actions = turn.Start(false);
  while (!turn.ended()) {
    FakeSequence sequence(turn.session_tokens());
    std::vector<SampledToken> tokens(1);
    tokens[0].id = sequence.Verify({})[0];
    actions = turn.OnVerified(tokens);
  }
  result.reason = std::get<EndAction>(actions.back()).reason;
  result.tokens.assign(turn.generated().begin(), turn.generated().end());
  result.text = turn.text();
  return result;
}

}  // namespace tandem
