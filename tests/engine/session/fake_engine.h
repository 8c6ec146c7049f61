// An engine without a model, for tests of what stands on an engine: logits are
// a pure hash function of the tokens before them, requests are checked as the
// real engine checks them, and failures come on demand.

#ifndef TANDEM_TESTS_ENGINE_SESSION_FAKE_ENGINE_H_
#define TANDEM_TESTS_ENGINE_SESSION_FAKE_ENGINE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/turn.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// A vocabulary of kFakeVocabSize tokens: 0 unknown, 1 BOS, 2 EOS, letters,
// short words that overlap as stop strings do, and the bytes of UTF-8
// characters.
inline constexpr int kFakeVocabSize = 24;
inline constexpr TokenId kFakeBos = 1;
inline constexpr TokenId kFakeEos = 2;

class FakeTokenizer : public Tokenizer {
 public:
  // `changed`: a vocabulary that differs in one piece.
  explicit FakeTokenizer(absl::string_view changed = "");

 protected:
  // One token per letter; other bytes are the unknown token.
  void EncodePlain(absl::string_view text, SpacePrefix prefix,
                   std::vector<TokenId>* ids) const override;
};

struct FakeModel {
  uint64_t seed = 1;
  // A draft: the logits of the model above with this much noise, 0 .. 1.
  double noise = 0;
  // Added to the logit of EOS, which would else come once in 24 tokens.
  float eos_bias = -1.5f;
};

// The row after `tokens`.
std::vector<float> FakeLogits(const FakeModel& model,
                              absl::Span<const TokenId> tokens);

struct FakeEngineOptions {
  FakeModel model = {};
  Position context_max = 1000;
  int rows_max = 64;
  int sequences_max = 8;
  // Of all open sequences' tokens_max; 0: no bound.
  Position kv_tokens = 0;
  std::string changed_piece = {};
  // Tokens that a sequence can be cut back by at most, as with windows; 0: any.
  Position rollback_max = 0;
  // Tokens of closed sequences are kept by tenant, in pages of so many, without
  // a bound; 0: none.
  Position kept_page_tokens = 0;
};

class FakeEngine : public Engine {
 public:
  explicit FakeEngine(const FakeEngineOptions& options = {});

  absl::StatusOr<SequenceId> Open(const SequenceOptions& options) override;
  absl::Status Step(absl::Span<const StepItem> batch,
                    RowConsumer* consumer) override;
  void Close(SequenceId sequence) override;
  SequenceState state(SequenceId sequence) const override;
  const EngineInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  KvUsage kv_usage() const override;

  // The Step after this many more fails with UNAVAILABLE; -1: none does.
  void FailStepAfter(int steps) { steps_to_failure_ = steps; }
  // That Step fails after it has handed out its rows.
  void FailAfterRows() { fails_after_rows_ = true; }
  // Rows that stand after this many tokens are NaN; -1: none.
  void CorruptRowAt(Position length) { corrupt_length_ = length; }

  int open_sequences() const { return static_cast<int>(sequences_.size()); }
  int64_t steps() const { return steps_; }
  int64_t rows_run() const { return rows_run_; }
  // What the last Step was given.
  const std::vector<StepItem>& last_batch() const { return last_batch_; }

 private:
  struct Sequence {
    Position tokens_max = 0;
    Position reached = 0;  // the greatest length so far
    std::vector<TokenId> tokens = {};
    std::string tenant = {};
  };

  absl::Status CheckBatch(absl::Span<const StepItem> batch) const;

  FakeEngineOptions options_;
  EngineInfo info_;
  FakeTokenizer tokenizer_;
  // Tokens of a kept sequence that `options` can begin with.
  Position KeptOf(const SequenceOptions& options) const;

  std::map<SequenceId, Sequence> sequences_;
  std::vector<Sequence> kept_;
  SequenceId next_sequence_ = 1;
  std::vector<StepItem> last_batch_;
  int64_t steps_ = 0;
  int64_t rows_run_ = 0;
  int steps_to_failure_ = -1;
  bool fails_after_rows_ = false;
  Position corrupt_length_ = -1;
};

// What a turn must come to: one token at a time with a new LogitsProcessor for
// each, stopping where the options say.
struct ReferenceTurn {
  std::vector<SampledToken> tokens;
  std::string text;
  FinishReason reason = FinishReason::kLength;

  std::vector<TokenId> ids() const;
};
ReferenceTurn GenerateReference(const FakeModel& model, const TurnSpec& spec);

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_SESSION_FAKE_ENGINE_H_
