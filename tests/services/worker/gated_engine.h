// The fake engine behind a gate: a test holds a Step up, sees what each Step
// was given, and reads the KV usage from any thread.

#ifndef TANDEM_TESTS_SERVICES_WORKER_GATED_ENGINE_H_
#define TANDEM_TESTS_SERVICES_WORKER_GATED_ENGINE_H_

#include <atomic>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/engine.h"
#include "tests/engine/session/fake_engine.h"

namespace tandem {

// One item of a Step.
struct SeenItem {
  SequenceId sequence = 0;
  int rows = 0;
  bool wants_rows = false;
};

class GatedEngine : public Engine {
 public:
  explicit GatedEngine(const FakeEngineOptions& options) : fake_(options) {}

  absl::StatusOr<SequenceId> Open(const SequenceOptions& options) override;
  absl::Status Step(absl::Span<const StepItem> batch,
                    RowConsumer* consumer) override;
  void Close(SequenceId sequence) override;
  SequenceState state(SequenceId sequence) const override {
    return fake_.state(sequence);
  }
  const EngineInfo& info() const override { return fake_.info(); }
  const Tokenizer& tokenizer() const override { return fake_.tokenizer(); }
  KvUsage kv_usage() const override;

  // From any thread.
  void ShutGate();
  void OpenGate();
  // Until a Step stands at the gate.
  void WaitForStep();
  // The next Step fails.
  void FailNextStep() { fails_next_ = true; }
  // Rows after this many tokens are NaN.
  void CorruptRowAt(Position length) { fake_.CorruptRowAt(length); }
  int open_sequences() const { return open_sequences_; }
  std::vector<std::vector<SeenItem>> batches() const;

 private:
  FakeEngine fake_;
  std::atomic<int> open_sequences_{0};
  std::atomic<bool> fails_next_{false};
  mutable absl::Mutex mutex_;
  bool gate_is_shut_ ABSL_GUARDED_BY(mutex_) = false;
  bool step_waits_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::vector<SeenItem>> batches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_WORKER_GATED_ENGINE_H_
