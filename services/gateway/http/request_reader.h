// Reads one request of HTTP/1.1 or 1.0 from the bytes of a connection, within
// bounds. Owned by the connection; one thread at a time.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_REQUEST_READER_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_REQUEST_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "services/gateway/http/http_message.h"

namespace tandem::gateway {

// A request line and its headers; browsers send less than 2 KiB.
inline constexpr uint32_t kHeadBytesMax = 16 << 10;
// A body: what the coordinator takes of a message (kRequestBytesMax of
// services/common/channel.h), and as much again for the escapes of JSON.
inline constexpr uint64_t kBodyBytesMax = 8 << 20;

class RequestReader {
 public:
  enum class State {
    kNeedMore,
    kDone,
    kHeadTooLarge,
    kBodyTooLarge,
    kMalformed,
  };

  RequestReader();
  ~RequestReader();

  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  // Takes bytes from the beginning of `input`; what is left there belongs to
  // the next request, or to a head that is not complete. Not after another
  // state than kNeedMore.
  State Read(std::string* input);

  // Bytes of the body that have come.
  size_t body_bytes() const;
  // Once per request: whether the client waits for "100 Continue".
  bool TakeExpectsContinue();
  // After kDone, once.
  HttpRequest Take();

 private:
  struct Parser;
  const std::unique_ptr<Parser> parser_;
  bool has_looked_at_expect_ = false;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_REQUEST_READER_H_
