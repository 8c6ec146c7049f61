// An engine without weights, whose passes take the time that a cost model says:
// with it the services can be measured apart from any model.
//
// The token after a position is a hash of that position and of the token there.
// A draft names the target's token at a chosen share of positions, by another
// hash. Each row has one token alone, so the options of a request do not
// change it. Threads and ownership as Engine.

#ifndef TANDEM_TOOLS_COST_WORKER_COST_ENGINE_H_
#define TANDEM_TOOLS_COST_WORKER_COST_ENGINE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/engine.h"

namespace tandem::bench {

// Tokens of a page, as kv_usage counts.
inline constexpr int kCostPageTokens = 64;

struct CostEngineOptions {
  // A pass of r rows takes step_base + r * step_per_row.
  std::chrono::microseconds step_base{0};
  std::chrono::microseconds step_per_row{0};
  // The share of positions, 0 .. 1, at which the engine names the tokens that
  // one with agreement 1 names.
  double agreement = 1;
  Position context_max = 1 << 20;
  // Tokens of all open sequences together.
  int64_t kv_tokens = int64_t{1} << 40;
  int rows_max = 8192;
  int sequences_max = 4096;
};

class CostEngine final : public Engine {
 public:
  // Errors: INVALID_ARGUMENT where the vocabulary has fewer than two tokens
  // that stand for text.
  static absl::StatusOr<std::unique_ptr<CostEngine>> Create(
      std::unique_ptr<Tokenizer> tokenizer, const CostEngineOptions& options);

  // Keeps nothing between sequences.
  absl::StatusOr<SequenceId> Open(const SequenceOptions& options) override;
  absl::Status Step(absl::Span<const StepItem> batch,
                    RowConsumer* consumer) override;
  void Close(SequenceId sequence) override;
  SequenceState state(SequenceId sequence) const override;
  const EngineInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  KvUsage kv_usage() const override;

  // The token after `token`, which stands at `position`; a pure function.
  TokenId NextToken(Position position, TokenId token) const;

 private:
  struct Sequence {
    Position tokens_max = 0;
    Position length = 0;
    int64_t pages = 0;
  };

  CostEngine(std::unique_ptr<Tokenizer> tokenizer,
             const CostEngineOptions& options);

  void RunItem(size_t index, const StepItem& item, RowConsumer* consumer);

  const std::unique_ptr<Tokenizer> tokenizer_;
  const CostEngineOptions options_;
  const int64_t pages_total_;
  // Tokens that stand for text: no control tokens, none that ends a text.
  std::vector<TokenId> choices_;
  EngineInfo info_;
  absl::flat_hash_map<SequenceId, Sequence> sequences_;
  SequenceId next_sequence_ = 1;
  std::atomic<int64_t> pages_reserved_{0};
  std::vector<float> row_;  // [vocab_size]
};

}  // namespace tandem::bench

#endif  // TANDEM_TOOLS_COST_WORKER_COST_ENGINE_H_
