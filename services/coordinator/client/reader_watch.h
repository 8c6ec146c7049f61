// Whether a client reads: watches the one write that may be under way on its
// stream. Owned by the client stream; the event loop's.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_READER_WATCH_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_READER_WATCH_H_

#include <functional>
#include <utility>

#include "services/coordinator/turn/event_loop.h"

namespace tandem {

class ReaderWatch {
 public:
  // Called with the time that the write is under way, after each whole number
  // of `stall` of it; may end the watch.
  using OnStall = std::function<void(MonotonicDuration)>;

  // `loop` outlives the watch.
  ReaderWatch(EventLoop* loop, MonotonicDuration stall, OnStall on_stall)
      : loop_(loop), stall_(stall), on_stall_(std::move(on_stall)) {}
  // After Stop.
  ~ReaderWatch() = default;

  ReaderWatch(const ReaderWatch&) = delete;
  ReaderWatch& operator=(const ReaderWatch&) = delete;

  void OnWrite();
  void OnWriteDone() { is_writing_ = false; }
  bool is_writing() const { return is_writing_; }
  // No more calls; comes last.
  void Stop() { loop_->CancelTimer(&timer_); }

 private:
  void Look();

  EventLoop* const loop_;
  const MonotonicDuration stall_;
  const OnStall on_stall_;
  bool is_writing_ = false;
  MonotonicTime began_ = {};  // the last write
  // Stays when the write is done and looks at the next one: few writes last
  // that long, and a timer a write would cost more than all else here.
  EventLoop::TimerId timer_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_READER_WATCH_H_
