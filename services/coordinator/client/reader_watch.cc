#include "services/coordinator/client/reader_watch.h"

namespace tandem {

void ReaderWatch::OnWrite() {
  is_writing_ = true;
  began_ = loop_->Now();
  if (timer_.sequence != 0) return;
  timer_ = loop_->SetTimer(began_ + stall_, [this] { Look(); });
}

void ReaderWatch::Look() {
  timer_ = EventLoop::TimerId();
  if (!is_writing_) return;
  const MonotonicTime now = loop_->Now();
  const MonotonicDuration since = now - began_;
  // Counted from the write that is under way, not from the one before.
  timer_ = loop_->SetTimer(began_ + (since / stall_ + 1) * stall_,
                           [this] { Look(); });
  if (since >= stall_) on_stall_(since);
}

}  // namespace tandem
