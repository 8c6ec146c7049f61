// A worker without threads: sequences of the fake model whose passes take the
// time that a cost model says. Like the real one it batches what waits, decode
// rows first, prompts in chunks beside them; reserves KV for a sequence when it
// opens; keeps KV of prompts that it has seen; drains, and dies. Owned by the
// simulation; one thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATED_WORKER_H_
#define TANDEM_TESTS_SIMULATION_SIMULATED_WORKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/coordinator/routing/prefix_map.h"
#include "services/coordinator/turn/worker_link.h"
#include "services/coordinator/workers/worker_table.h"
#include "tests/services/coordinator/fake_model.h"
#include "tests/simulation/simulated_network.h"

namespace tandem {

struct SimulatedWorkerOptions {
  std::string address;
  int id = 0;
  WorkerRole role = WorkerRole::kTarget;
  // A pass of n rows takes base_us + n x row_us.
  double base_us = 10000;
  double row_us = 2600;
  int64_t kv_pages = 1024;
  int kv_page_tokens = 16;
};

// What a sequence hears, at the worker's end of the wire. Shared: it may end
// while the worker still computes for it.
class SequenceEvents {
 public:
  virtual ~SequenceEvents() = default;
  virtual void OnOpened() = 0;
  virtual void OnAnswer(WorkerAnswer answer) = 0;
  // The worker ended the sequence; last.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// A report as Watch brings it.
struct WorkerReport {
  WorkerLoad load;
  std::shared_ptr<const WorkerCosts> costs;
  bool draining = false;
  bool gone = false;  // the connection broke instead
};

class SimulatedWorker {
 public:
  using Watcher = std::function<void(const WorkerReport& report)>;

  SimulatedWorker(SimulatedNetwork* network,
                  const SimulatedWorkerOptions& options);

  SimulatedWorker(const SimulatedWorker&) = delete;
  SimulatedWorker& operator=(const SimulatedWorker&) = delete;

  // A new sequence's number, and what it hears; 0 where it was refused
  // (OnClosed was called).
  uint64_t Open(const OpenRequest& request,
                std::shared_ptr<SequenceEvents> events);
  // Nothing where the sequence is gone.
  void Propose(uint64_t sequence, const ProposeAction& propose);
  void Verify(uint64_t sequence, const VerifyAction& verify);
  void Close(uint64_t sequence);

  // Reports at once and at each change, 100 ms apart at least, for as long as
  // the worker lives.
  void Watch(Watcher watcher);

  // Takes no new sequences; after `timeout` it ends those that it has, and is
  // gone.
  void Drain(MonotonicDuration timeout);
  // At once, with all it has.
  void Die();
  // Lives (again), empty.
  void Start();
  // Its passes take so many times as long from now on.
  void SlowDown(double factor);

  bool alive() const { return alive_; }
  bool draining() const { return draining_; }
  const SimulatedWorkerOptions& options() const { return options_; }
  WorkerLoad load() const;
  // Sequences and reserved pages; both 0 in the end.
  int64_t sequences() const { return static_cast<int64_t>(sequences_.size()); }
  int64_t kv_pages_used() const { return kv_pages_used_; }
  // Sequences that were there when a drain ended.
  int64_t drained_with() const { return drained_with_; }
  // Of all passes, in microseconds.
  double busy_us() const { return busy_us_; }

 private:
  struct Sequence {
    std::shared_ptr<SequenceEvents> events;
    FakeSequence tokens{{}};
    int64_t pages = 0;
    int64_t prefill_left = 0;  // rows of the prompt
    std::optional<ProposeAction> propose;
    int drafted = 0;  // passes of it that are done
    // Behind it: one that was sent while one ahead is computed in vain.
    std::deque<ProposeAction> proposes_waiting;
    std::optional<VerifyAction> verify;
    MonotonicTime asked_at;
    double compute_us = 0;
  };
  // Rows of a sequence in the pass under way.
  struct Share {
    uint64_t sequence = 0;
    int rows = 0;
    bool is_prefill = false;
  };

  static bool HasWork(const Sequence& sequence);
  static int DecodeRows(const Sequence& sequence);
  void Request(uint64_t number, const std::function<void(Sequence*)>& set);
  void BeginPass();
  void EndPass();
  // After its rows of the pass were computed.
  void Advance(uint64_t number, Sequence* sequence, const Share& share);
  void AnswerProposal(uint64_t number, Sequence* sequence);
  void AnswerVerification(uint64_t number, Sequence* sequence);
  WorkerAnswer MakeAnswer(const Sequence& sequence, Position position,
                          absl::Span<const TokenId> tokens) const;
  void CloseWith(uint64_t number, const absl::Status& status);
  void CloseAll(const absl::Status& status);
  void Changed();
  void Report();
  PrefixKey CacheKey(const std::vector<TokenId>& tokens) const;

  SimulatedNetwork* const network_;
  const SimulatedWorkerOptions options_;
  CostCurve passes_;  // as it tells
  double slowness_ = 1;
  bool alive_ = false;
  bool draining_ = false;
  // Raised by each death: what was under way before does not count any more.
  int life_ = 0;

  uint64_t last_number_ = 0;
  std::map<uint64_t, Sequence> sequences_;
  std::set<uint64_t> working_;  // sequences with work
  int64_t kv_pages_used_ = 0;
  int64_t drained_with_ = 0;
  std::unique_ptr<PrefixMap> cache_;
  bool computing_ = false;
  std::vector<Share> pass_;
  double pass_us_ = 0;
  double busy_us_ = 0;
  double sequences_per_pass_ = 1;

  std::vector<Watcher> watchers_;
  bool report_due_ = false;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATED_WORKER_H_
