// Worker links with the fake model over an event loop that the test drives by
// hand: every answer comes after a random time, and faults are drawn from a
// seeded generator. Owned by the test; one thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_LINKS_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_LINKS_H_

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "services/coordinator/turn/worker_link.h"
#include "tests/services/coordinator/fake_model.h"

namespace tandem {

class FakeClock : public Clock {
 public:
  MonotonicTime Now() const override { return now_; }
  void AdvanceTo(MonotonicTime time) { now_ = std::max(now_, time); }

 private:
  MonotonicTime now_ = MonotonicTime() + std::chrono::hours(1);
};

// Per mille of answers that a fault hits.
struct FakeFaults {
  int close = 0;       // the stream fails instead of answering
  int unasked = 0;     // an answer comes that was not asked for
  int garbage = 0;     // a draft of any ids and length; scores of none
  int open_close = 0;  // the stream fails at once
  MonotonicDuration delay_max = std::chrono::milliseconds(2);
  // An open that fails does so after it has waited as long as it may.
  bool queues = false;
  absl::Status close_status = absl::UnavailableError("fake worker died");
};

class FakeLink : public WorkerLink {
 public:
  FakeLink(uint32_t seed, std::string fingerprint)
      : random_(seed), fingerprint_(std::move(fingerprint)) {}

  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override;

  std::shared_ptr<const WorkerCosts> costs() const override { return reported; }
  WorkerLoad load() const override {
    WorkerLoad load;
    load.streams = streams;
    load.streams_queued = queued;
    return load;
  }

  FakeFaults faults;
  std::shared_ptr<const WorkerCosts> reported;
  // Every answer to a proposal takes so much longer.
  MonotonicDuration propose_delay = {};
  int64_t cached_tokens = 0;  // told when a stream opens
  int64_t queued_us = 0;      // likewise
  // Told to the next streams.
  OpenRequest last_open;
  int queued = 0;       // told as streams of others that wait for KV
  int streams = 0;      // open now
  int opened = 0;       // ever
  int streams_max = 0;  // open at once, ever
  int verifies = 0;
  int proposes = 0;
  bool silent = false;     // answers nothing
  TokenId largest_id = 0;  // that any request has had

 private:
  friend class FakeLinkStream;

  void Look(absl::Span<const TokenId> tokens) {
    for (const TokenId id : tokens) largest_id = std::max(largest_id, id);
  }
  bool Draw(int per_mille) {
    return static_cast<int>(random_() % 1000) < per_mille;
  }

  std::minstd_rand random_;
  const std::string fingerprint_;
};

class FakeDirectory : public WorkerDirectory {
 public:
  std::optional<WorkerChoice> PickTarget(const TargetQuery& query) override;
  std::optional<WorkerChoice> PickDrafter(const DrafterQuery& query) override;
  void OnComputed(const ComputedSequence& sequence) override;

  struct Entry {
    std::shared_ptr<FakeLink> link;
    std::string fingerprint = "fp";
    bool up = true;
    Position context_max = 100000;
    int vocab_size = FakeTokenizer()->vocab_size();
    Position cached = 0;  // as the directory believes
  };
  std::map<std::string, Entry> targets;
  std::map<std::string, Entry> drafters;
  // What was asked and told last.
  LastWorker last_target;
  LastWorker last_drafter;
  std::map<std::string, size_t> computed;  // tokens by worker
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_LINKS_H_
