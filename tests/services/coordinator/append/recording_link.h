// A fake target that keeps what was opened. Owned by a test; one thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_APPEND_RECORDING_LINK_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_APPEND_RECORDING_LINK_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {

// Keeps what is opened, and, as a worker's prefix cache, its full pages.
class RecordingLink : public FakeLink {
 public:
  using FakeLink::FakeLink;
  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override {
    cached_tokens = 0;
    for (const OpenRequest& before : opens) {
      if (!keeps) break;
      const auto differs =
          std::mismatch(before.tokens.begin(), before.tokens.end() - 1,
                        request.tokens.begin(), request.tokens.end())
              .first;
      const int64_t same = differs - before.tokens.begin();
      cached_tokens = std::max<int64_t>(cached_tokens, same / 32 * 32);
    }
    opens.push_back(request);
    return FakeLink::Open(std::move(request), loop, events, deadline);
  }

  std::vector<OpenRequest> opens;
  bool keeps = true;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_APPEND_RECORDING_LINK_H_
