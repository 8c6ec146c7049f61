#include "tests/simulation/simulated_link.h"

#include <utility>

namespace tandem {
namespace {

// Both ends of one stream. The coordinator's end is there until the turn
// destroys its stream, the worker's until the sequence ends.
class StreamWires : public SequenceEvents,
                    public std::enable_shared_from_this<StreamWires> {
 public:
  StreamWires(SimulatedNetwork* network, SimulatedWorker* worker,
              std::shared_ptr<LoadTracker> tracker)
      : network_(network), worker_(worker), tracker_(std::move(tracker)) {}

  // The coordinator's end.
  void Open(OpenRequest request, WorkerStreamEvents* events) {
    events_ = events;
    fingerprint_ = request.fingerprint;
    tracker_->OnOpened(request.tokens_max);
    counted_ = true;
    Up([request = std::move(request)](StreamWires* it) {
      it->sequence_ = it->worker_->Open(request, it->shared_from_this());
    });
  }
  void Detach() {
    events_ = nullptr;
    StopCounting();
    // Not lost: the connection's own end tells it too.
    network_->Send(&up_, [self = shared_from_this()] { self->EndSequence(); });
  }
  void Propose(ProposeAction propose) {
    Up([propose = std::move(propose)](StreamWires* it) {
      it->worker_->Propose(it->sequence_, propose);
    });
  }
  void Verify(VerifyAction verify) {
    Up([verify = std::move(verify)](StreamWires* it) {
      it->worker_->Verify(it->sequence_, verify);
    });
  }

  // The worker's end.
  void OnOpened() override {
    Down([](StreamWires* it) {
      // A target's; who opens a drafter does not look.
      it->events_->OnOpened({.fingerprint = it->fingerprint_});
    });
  }
  void OnAnswer(WorkerAnswer answer) override {
    Down([answer = std::move(answer)](StreamWires* it) {
      it->events_->OnAnswer(answer);
    });
  }
  void OnClosed(const absl::Status& status) override {
    sequence_ = 0;
    ended_ = true;
    network_->Send(&down_, [self = shared_from_this(), status] {
      self->TellClosed(status);
    });
  }

 private:
  void Up(std::function<void(StreamWires*)> then) {
    if (broken_ || Break()) return;
    network_->Send(&up_, [self = shared_from_this(), then = std::move(then)] {
      if (!self->broken_ && !self->ended_) then(self.get());
    });
  }
  void Down(std::function<void(StreamWires*)> then) {
    if (broken_ || Break()) return;
    network_->Send(&down_, [self = shared_from_this(), then = std::move(then)] {
      if (!self->broken_ && self->events_ != nullptr) then(self.get());
    });
  }

  // Each end learns of the break by itself.
  bool Break() {
    if (!network_->DrawLoss()) return false;
    broken_ = true;
    network_->Log("break", {worker_->options().id});
    network_->Send(&up_, [self = shared_from_this()] { self->EndSequence(); });
    network_->Send(&down_, [self = shared_from_this()] {
      self->TellClosed(absl::UnavailableError("connection lost"));
    });
    return true;
  }

  void EndSequence() {
    ended_ = true;
    const uint64_t sequence = std::exchange(sequence_, 0);
    if (sequence != 0) worker_->Close(sequence);
  }
  void TellClosed(const absl::Status& status) {
    StopCounting();
    WorkerStreamEvents* const events = std::exchange(events_, nullptr);
    if (events != nullptr) events->OnClosed(status);
  }
  void StopCounting() {
    if (std::exchange(counted_, false)) tracker_->OnClosed();
  }

  SimulatedNetwork* const network_;
  SimulatedWorker* const worker_;
  const std::shared_ptr<LoadTracker> tracker_;
  SimulatedNetwork::Wire up_;
  SimulatedNetwork::Wire down_;
  bool broken_ = false;
  // The coordinator's end.
  WorkerStreamEvents* events_ = nullptr;
  std::string fingerprint_;
  bool counted_ = false;
  // The worker's end.
  uint64_t sequence_ = 0;
  bool ended_ = false;
};

class SimulatedStream : public WorkerStream {
 public:
  explicit SimulatedStream(std::shared_ptr<StreamWires> wires)
      : wires_(std::move(wires)) {}
  ~SimulatedStream() override { wires_->Detach(); }

  void Propose(ProposeAction propose) override {
    wires_->Propose(std::move(propose));
  }
  void Verify(VerifyAction verify) override {
    wires_->Verify(std::move(verify));
  }

 private:
  const std::shared_ptr<StreamWires> wires_;
};

}  // namespace

std::unique_ptr<WorkerStream> SimulatedLink::Open(
    OpenRequest request, EventLoop* /*loop*/, WorkerStreamEvents* events,
    std::optional<MonotonicTime> /*deadline*/) {
  auto wires = std::make_shared<StreamWires>(network_, worker_, tracker_);
  wires->Open(std::move(request), events);
  return std::make_unique<SimulatedStream>(std::move(wires));
}

void SimulatedLink::Watch(std::function<void(bool, bool)> on_change) {
  worker_->Watch([weak = weak_from_this(), on_change = std::move(on_change)](
                     const WorkerReport& report) {
    const std::shared_ptr<SimulatedLink> link = weak.lock();
    if (link == nullptr) return;
    link->network_->Send(&link->reports_, [link, on_change, report] {
      if (report.gone) {
        link->tracker_->Forget();
      } else {
        link->tracker_->OnReport(report.load);
        link->costs_ = report.costs;
      }
      on_change(report.draining, report.gone);
    });
  });
}

}  // namespace tandem
