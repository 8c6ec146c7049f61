#include "tests/engine/session/fake_engine.h"

#include <algorithm>
#include <limits>
#include <set>

#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/sampling/logits_processor.h"
#include "engine/tokenizer/stream_decoder.h"

namespace tandem {
namespace {

uint64_t Mix(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// In [-1, 1].
double Unit(uint64_t hash) {
  return static_cast<double>(Mix(hash) >> 11) * 0x1p-52 - 1;
}

}  // namespace

FakeTokenizer::FakeTokenizer(absl::string_view changed) {
  texts_ = {"<unk>", "<s>",  "</s>", "a",    "b",    "c",    "ab", "bc",
            "abc",   "aa",   " ",    "\n",   "the",  "th",   "he", "e",
            "\xc3",  "\xa9", "\xe2", "\x82", "\xac", "\xff", ".",  "end"};
  TANDEM_CHECK(texts_.size() == static_cast<size_t>(kFakeVocabSize));
  if (!changed.empty()) texts_[12] = std::string(changed);
  vocabulary_.pieces = texts_;
  for (TokenId id = 0; id < kFakeVocabSize; ++id) {
    TokenKind kind = TokenKind::kNormal;
    if (id <= kFakeEos) kind = TokenKind::kControl;
    if (id == 0) kind = TokenKind::kUnknown;
    if (id >= 16 && id <= 21) kind = TokenKind::kByte;
    vocabulary_.kinds.push_back(kind);
    is_special_.push_back(kind == TokenKind::kControl ? 1 : 0);
  }
  vocabulary_.special.unknown = 0;
  vocabulary_.special.bos = kFakeBos;
  vocabulary_.special.eos = kFakeEos;
  adds_bos_ = true;
  FinishTokens();
}

void FakeTokenizer::EncodePlain(absl::string_view text, SpacePrefix /*prefix*/,
                                std::vector<TokenId>* ids) const {
  for (const char letter : text) {
    TokenId id = 0;
    for (TokenId i = 3; i < kFakeVocabSize; ++i) {
      if (texts_[i] == absl::string_view(&letter, 1)) id = i;
    }
    ids->push_back(id);
  }
}

std::vector<float> FakeLogits(const FakeModel& model,
                              absl::Span<const TokenId> tokens) {
  uint64_t hash = model.seed;
  for (const TokenId token : tokens) hash = Mix(hash ^ (token + 1));
  std::vector<float> logits(kFakeVocabSize);
  for (int id = 0; id < kFakeVocabSize; ++id) {
    const uint64_t key = Mix(hash + static_cast<uint64_t>(id) * 1000003);
    const double target = 3 * Unit(key);
    logits[id] = static_cast<float>(target + model.noise * 3 * Unit(key ^ 77));
  }
  logits[kFakeBos] -= 100;
  logits[kFakeEos] += model.eos_bias;
  return logits;
}

FakeEngine::FakeEngine(const FakeEngineOptions& options)
    : options_(options), tokenizer_(options.changed_piece) {
  info_.vocab_size = kFakeVocabSize;
  info_.context_max = options.context_max;
  info_.rows_max = options.rows_max;
  info_.fingerprint = "fake";
}

absl::StatusOr<SequenceId> FakeEngine::Open(const SequenceOptions& options) {
  const Position tokens_max = options.tokens_max;
  if (tokens_max < 1 || tokens_max > info_.context_max) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     {.reason = kReasonContextExceeded, .violations = {}},
                     "tokens_max is above the context");
  }
  Position reserved = tokens_max;
  for (const auto& [id, sequence] : sequences_) reserved += sequence.tokens_max;
  if (options_.kv_tokens > 0 && reserved > options_.kv_tokens) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     {.reason = kReasonExhausted, .violations = {}},
                     "no free pages");
  }
  if (open_sequences() >= options_.sequences_max) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     {.reason = kReasonExhausted, .violations = {}},
                     "no free sequence");
  }
  const Position kept = KeptOf(options);
  sequences_[next_sequence_] = {
      .tokens_max = tokens_max,
      .reached = kept,
      .tokens = {options.tokens.begin(), options.tokens.begin() + kept},
      .tenant = std::string(options.tenant)};
  return next_sequence_++;
}

Position FakeEngine::KeptOf(const SequenceOptions& options) const {
  if (options_.kept_page_tokens == 0 || options.tokens.empty()) return 0;
  Position longest = 0;
  for (const Sequence& kept : kept_) {
    if (kept.tenant != options.tenant) continue;
    const auto differs =
        std::mismatch(options.tokens.begin(), options.tokens.end() - 1,
                      kept.tokens.begin(), kept.tokens.end())
            .first;
    longest = std::max(longest,
                       static_cast<Position>(differs - options.tokens.begin()));
  }
  longest = std::min(longest, options.kept_max);
  return longest / options_.kept_page_tokens * options_.kept_page_tokens;
}

absl::Status FakeEngine::CheckBatch(absl::Span<const StepItem> batch) const {
  if (batch.empty()) return absl::InvalidArgumentError("no items");
  std::set<SequenceId> seen;
  size_t rows = 0;
  for (const StepItem& item : batch) {
    const auto found = sequences_.find(item.sequence);
    if (found == sequences_.end()) {
      return absl::InvalidArgumentError("unknown sequence");
    }
    const Sequence& sequence = found->second;
    if (!seen.insert(item.sequence).second) {
      return absl::InvalidArgumentError("a sequence comes twice");
    }
    if (item.tokens.empty()) return absl::InvalidArgumentError("no tokens");
    if (item.position < state(item.sequence).cut_min ||
        item.position > static_cast<Position>(sequence.tokens.size())) {
      return absl::InvalidArgumentError("position outside the sequence");
    }
    if (item.position + static_cast<Position>(item.tokens.size()) >
        sequence.tokens_max) {
      return absl::InvalidArgumentError("too many tokens");
    }
    for (const TokenId id : item.tokens) {
      if (id < 0 || id >= kFakeVocabSize) {
        return absl::InvalidArgumentError("token outside the vocabulary");
      }
    }
    rows += item.tokens.size();
  }
  if (rows > static_cast<size_t>(info_.rows_max)) {
    return absl::InvalidArgumentError("too many rows");
  }
  return absl::OkStatus();
}

absl::Status FakeEngine::Step(absl::Span<const StepItem> batch,
                              RowConsumer* consumer) {
  TANDEM_RETURN_IF_ERROR(CheckBatch(batch));
  const bool fails = steps_to_failure_ == 0;
  if (steps_to_failure_ >= 0) --steps_to_failure_;
  if (fails && !fails_after_rows_) {
    return absl::UnavailableError("the engine is out of order");
  }
  last_batch_.assign(batch.begin(), batch.end());
  ++steps_;
  for (size_t item = 0; item < batch.size(); ++item) {
    std::vector<TokenId>& tokens = sequences_[batch[item].sequence].tokens;
    tokens.resize(batch[item].position);
    Position& reached = sequences_[batch[item].sequence].reached;
    reached =
        std::max(reached, batch[item].position +
                              static_cast<Position>(batch[item].tokens.size()));
    size_t row = 0;
    for (size_t i = 0; i < batch[item].tokens.size(); ++i) {
      tokens.push_back(batch[item].tokens[i]);
      ++rows_run_;
      const bool last = i + 1 == batch[item].tokens.size();
      if (batch[item].rows == WantedRows::kNone ||
          (batch[item].rows == WantedRows::kLast && !last) ||
          i < batch[item].rows_from) {
        continue;
      }
      std::vector<float> logits = FakeLogits(options_.model, tokens);
      if (static_cast<Position>(tokens.size()) == corrupt_length_) {
        logits[5] = std::numeric_limits<float>::quiet_NaN();
      }
      consumer->OnRow(item, row++, absl::MakeSpan(logits));
    }
  }
  if (fails) return absl::UnavailableError("the engine is out of order");
  return absl::OkStatus();
}

void FakeEngine::Close(SequenceId sequence) {
  if (options_.kept_page_tokens > 0) kept_.push_back(sequences_.at(sequence));
  TANDEM_CHECK(sequences_.erase(sequence) == 1);
}

SequenceState FakeEngine::state(SequenceId sequence) const {
  const Sequence& found = sequences_.at(sequence);
  const Position length = static_cast<Position>(found.tokens.size());
  if (options_.rollback_max == 0) return {.length = length};
  return {
      .length = length,
      .cut_min = std::max<Position>(0, found.reached - options_.rollback_max)};
}

KvUsage FakeEngine::kv_usage() const {
  return {.pages_total = options_.sequences_max,
          .pages_reserved = open_sequences(),
          .page_tokens = 16};
}

std::vector<TokenId> ReferenceTurn::ids() const {
  std::vector<TokenId> ids;
  for (const SampledToken& token : tokens) ids.push_back(token.id);
  return ids;
}

ReferenceTurn GenerateReference(const FakeModel& model, const TurnSpec& spec) {
  const FakeTokenizer tokenizer;
  const GenOptions& options = spec.options;
  std::vector<TokenId> tokens = spec.prompt;
  StreamDecoder decoder(&tokenizer, options.stop_strings);
  std::optional<GrammarMatcher> matcher;
  if (spec.grammar != nullptr) matcher.emplace(spec.grammar);
  ReferenceTurn turn;
  while (true) {
    LogitsProcessor processor(options, kFakeVocabSize, tokens,
                              static_cast<Position>(spec.prompt.size()),
                              ConstraintOf(tokenizer, options, spec.grammar));
    std::vector<float> logits = FakeLogits(model, tokens);
    turn.tokens.push_back(*processor.Sample(absl::MakeSpan(logits)));
    const TokenId id = turn.tokens.back().id;
    tokens.push_back(id);
    if (IsStopToken(tokenizer, options, id)) {
      turn.reason = FinishReason::kStopToken;
      break;
    }
    if (decoder.Push(id)) {
      turn.reason = FinishReason::kStopString;
      break;
    }
    if (matcher.has_value()) {
      TANDEM_CHECK(matcher->Accept(id).ok());
      if (matcher->only_ends()) {
        turn.reason = FinishReason::kGrammarEnd;
        break;
      }
    }
    if (static_cast<int>(turn.tokens.size()) == options.max_tokens) {
      turn.reason = FinishReason::kLength;
      break;
    }
    if (static_cast<Position>(tokens.size()) == spec.context_max) {
      turn.reason = FinishReason::kContext;
      break;
    }
  }
  decoder.Finish();
  turn.text = decoder.decided();
  return turn;
}

}  // namespace tandem
