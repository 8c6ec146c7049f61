#include "tests/services/worker/gated_engine.h"

namespace tandem {

absl::StatusOr<SequenceId> GatedEngine::Open(const SequenceOptions& options) {
  absl::StatusOr<SequenceId> sequence = fake_.Open(options);
  if (sequence.ok()) ++open_sequences_;
  return sequence;
}

absl::Status GatedEngine::Step(absl::Span<const StepItem> batch,
                               RowConsumer* consumer) {
  {
    absl::MutexLock lock(&mutex_);
    std::vector<SeenItem> items;
    for (const StepItem& item : batch) {
      items.push_back({.sequence = item.sequence,
                       .rows = static_cast<int>(item.tokens.size()),
                       .wants_rows = item.rows != WantedRows::kNone});
    }
    batches_.push_back(items);
    step_waits_ = true;
    const auto is_open = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !gate_is_shut_;
    };
    mutex_.Await(absl::Condition(&is_open));
    step_waits_ = false;
  }
  if (fails_next_.exchange(false)) return absl::UnavailableError("secret");
  return fake_.Step(batch, consumer);
}

void GatedEngine::Close(SequenceId sequence) {
  fake_.Close(sequence);
  --open_sequences_;
}

KvUsage GatedEngine::kv_usage() const {
  return {.pages_total = 1000,
          .pages_reserved = open_sequences_,
          .pages_cached = 7,
          .page_tokens = 16};
}

void GatedEngine::ShutGate() {
  absl::MutexLock lock(&mutex_);
  gate_is_shut_ = true;
}

void GatedEngine::OpenGate() {
  absl::MutexLock lock(&mutex_);
  gate_is_shut_ = false;
}

void GatedEngine::WaitForStep() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&step_waits_));
}

std::vector<std::vector<SeenItem>> GatedEngine::batches() const {
  absl::MutexLock lock(&mutex_);
  return batches_;
}

}  // namespace tandem
