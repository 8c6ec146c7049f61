// Workers in a table, with the load that a test says; nothing can be opened
// there. Values; any thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_WORKERS_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_WORKERS_H_

#include <memory>
#include <string>

#include "services/coordinator/workers/worker_table.h"

namespace tandem {

class FakeLoadLink : public WorkerLink {
 public:
  std::unique_ptr<WorkerStream> Open(
      OpenRequest /*request*/, EventLoop* /*loop*/,
      WorkerStreamEvents* /*events*/,
      std::optional<MonotonicTime> /*deadline*/) override {
    return nullptr;
  }
  std::shared_ptr<const WorkerCosts> costs() const override { return told; }
  WorkerLoad load() const override {
    ++looks;
    return now;
  }

  WorkerLoad now;
  std::shared_ptr<const WorkerCosts> told;
  mutable int looks = 0;
};

inline WorkerInfo FakeTarget(const std::string& address, int streams = 0) {
  auto link = std::make_shared<FakeLoadLink>();
  link->now.streams = streams;
  WorkerInfo worker;
  worker.address = address;
  worker.role = WorkerRole::kTarget;
  worker.usable = true;
  worker.model_id = "model";
  worker.fingerprint = "fp";
  worker.vocabulary_fingerprint = "vocabulary";
  worker.context_max = 100;
  worker.vocab_size = 10;
  worker.link = std::move(link);
  return worker;
}

inline WorkerInfo FakeDrafter(const std::string& address, int streams = 0) {
  WorkerInfo worker = FakeTarget(address, streams);
  worker.role = WorkerRole::kDraft;
  worker.model_id = "small";
  worker.fingerprint = "small-fp";
  return worker;
}

inline FakeLoadLink& LinkOf(const WorkerInfo& worker) {
  return static_cast<FakeLoadLink&>(*worker.link);
}

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_WORKERS_H_
