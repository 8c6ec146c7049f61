// What a client of HTTP may take: of time and of memory. Values, and what the
// connections of one server count together. Any thread.
//
// Connections in all and by peer are bounded where they are accepted
// (services/common/listen); a connection has one request at a time, so streams
// are bounded with them.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_HTTP_LIMITS_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_HTTP_LIMITS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace tandem::gateway {

struct HttpLimits {
  // From a request's first byte to its last: 8 MiB on a link of 3 Mbit/s.
  absl::Duration request_time = absl::Seconds(30);
  // Without a request on a connection; proxies keep theirs for 60 s or less.
  absl::Duration idle_time = absl::Seconds(75);
  // Until the socket has taken what is sent, for each answer and each event.
  absl::Duration write_time = absl::Seconds(60);
  // Without an event on a stream: a comment is sent, so that proxies keep the
  // connection (nginx: 60 s without bytes) and a dead client is noticed.
  absl::Duration comment_interval = absl::Seconds(15);
  // After the answer that ends a connection, what a client still sends is read
  // and dropped: a close before that could cut off the answer.
  absl::Duration linger_time = absl::Seconds(2);
  // Bodies that have not come whole, of all connections together.
  int64_t body_bytes = 64 << 20;
};

// Of a request that comes while another one is answered (pipelining).
inline constexpr size_t kEarlyBytesMax = 16 << 10;
// Read at a time.
inline constexpr size_t kReadBytes = 8 << 10;
// What the kernel keeps for a reader that is slow; by itself it takes up to
// 4 MiB (tcp_wmem), which is 20,000 events.
inline constexpr int kSendBufferBytes = 64 << 10;
// Data that nobody acknowledges for this long end a connection.
inline constexpr absl::Duration kUnacknowledgedMax = absl::Seconds(30);

// Bytes that connections hold together.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t bytes) : free_(bytes) {}

  // Whether `bytes` were free; they are taken then.
  bool Take(int64_t bytes) {
    if (free_.fetch_sub(bytes) >= bytes) return true;
    Return(bytes);
    return false;
  }
  void Return(int64_t bytes) { free_.fetch_add(bytes); }

 private:
  std::atomic<int64_t> free_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_HTTP_LIMITS_H_
