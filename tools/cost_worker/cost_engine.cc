#include "tools/cost_worker/cost_engine.h"

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"

namespace tandem::bench {
namespace {

// In [0, 1).
double Unit(uint64_t hash) { return static_cast<double>(hash >> 11) * 0x1p-53; }

int64_t PagesOf(int64_t tokens) {
  return (tokens + kCostPageTokens - 1) / kCostPageTokens;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CostEngine>> CostEngine::Create(
    std::unique_ptr<Tokenizer> tokenizer, const CostEngineOptions& options) {
  std::unique_ptr<CostEngine> engine(
      new CostEngine(std::move(tokenizer), options));
  if (engine->choices_.size() < 2) {
    return absl::InvalidArgumentError(
        "the vocabulary has fewer than two tokens that stand for text");
  }
  return engine;
}

CostEngine::CostEngine(std::unique_ptr<Tokenizer> tokenizer,
                       const CostEngineOptions& options)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      pages_total_(PagesOf(options.kv_tokens)) {
  for (TokenId id = 0; id < tokenizer_->vocab_size(); ++id) {
    if (tokenizer_->kind(id) == TokenKind::kNormal &&
        !tokenizer_->IsEndOfGeneration(id)) {
      choices_.push_back(id);
    }
  }
  row_.resize(static_cast<size_t>(tokenizer_->vocab_size()));
  info_.vocab_size = tokenizer_->vocab_size();
  info_.context_max = options_.context_max;
  info_.rows_max = options_.rows_max;
  Sha256 hash;
  hash.AddString("cost model");
  hash.AddString(tokenizer_->vocabulary_fingerprint());
  hash.AddNumber(static_cast<uint64_t>(options_.context_max));
  hash.AddNumber(static_cast<uint64_t>(options_.agreement * 1e9));
  info_.fingerprint = hash.HexDigest();
}

absl::StatusOr<SequenceId> CostEngine::Open(const SequenceOptions& options) {
  const Position tokens_max = options.tokens_max;
  if (tokens_max < 1 || tokens_max > options_.context_max) {
    return InvalidArgument(kReasonContextExceeded,
                           absl::StrCat("a sequence holds 1 .. ",
                                        options_.context_max, " tokens"));
  }
  if (static_cast<int>(sequences_.size()) >= options_.sequences_max) {
    return Exhausted("no free sequence");
  }
  const int64_t pages = PagesOf(tokens_max);
  if (pages_reserved_ + pages > pages_total_) return Exhausted("no free page");
  pages_reserved_ += pages;
  sequences_[next_sequence_] = {
      .tokens_max = tokens_max, .length = 0, .pages = pages};
  return next_sequence_++;
}

SequenceState CostEngine::state(SequenceId sequence) const {
  return {.length = sequences_.at(sequence).length, .cut_min = 0};
}

absl::Status CostEngine::Step(absl::Span<const StepItem> batch,
                              RowConsumer* consumer) {
  const auto began = std::chrono::steady_clock::now();
  int64_t rows = 0;
  for (const StepItem& item : batch) {
    rows += static_cast<int64_t>(item.tokens.size());
  }
  TANDEM_CHECK(rows <= info_.rows_max);
  const auto cost = options_.step_base + rows * options_.step_per_row;
  if (cost.count() > 0) std::this_thread::sleep_until(began + cost);
  for (size_t i = 0; i < batch.size(); ++i) RunItem(i, batch[i], consumer);
  return absl::OkStatus();
}

void CostEngine::RunItem(size_t index, const StepItem& item,
                         RowConsumer* consumer) {
  const size_t count = item.tokens.size();
  Sequence& sequence = sequences_.at(item.sequence);
  TANDEM_CHECK(item.position >= 0 && item.position <= sequence.length);
  sequence.length = item.position + static_cast<Position>(count);
  TANDEM_CHECK(sequence.length <= sequence.tokens_max);
  if (item.rows == WantedRows::kNone) return;
  const size_t first =
      item.rows == WantedRows::kLast ? count - 1 : item.rows_from;
  for (size_t i = first; i < count; ++i) {
    std::fill(row_.begin(), row_.end(),
              -std::numeric_limits<float>::infinity());
    row_[NextToken(item.position + static_cast<Position>(i), item.tokens[i])] =
        1;
    consumer->OnRow(index, i - first, absl::MakeSpan(row_));
  }
}

void CostEngine::Close(SequenceId sequence) {
  const auto found = sequences_.find(sequence);
  TANDEM_CHECK(found != sequences_.end());
  pages_reserved_ -= found->second.pages;
  sequences_.erase(found);
}

KvUsage CostEngine::kv_usage() const {
  return {.pages_total = pages_total_,
          .pages_reserved = pages_reserved_.load(),
          .page_tokens = kCostPageTokens};
}

TokenId CostEngine::NextToken(Position position, TokenId token) const {
  const uint64_t hash = SplitMix64(SplitMix64(static_cast<uint64_t>(position)) ^
                                   static_cast<uint64_t>(token));
  size_t choice = hash % choices_.size();
  const bool agrees = Unit(SplitMix64(~hash)) < options_.agreement;
  if (!agrees) choice = (choice + 1) % choices_.size();
  return choices_[choice];
}

}  // namespace tandem::bench
