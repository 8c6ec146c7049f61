// What a server of HTTP and the one who answers requests say to each other.
//
// The answerer may take as long as it likes and answer from any thread. A body
// that comes bit by bit is asked for: the next event only when the socket has
// taken the last one, so a reader that is slow costs one event of memory.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_HTTP_EXCHANGE_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_HTTP_EXCHANGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "services/gateway/http/http_message.h"

namespace tandem::gateway {

// A body that comes bit by bit. Owned by the connection that sends it.
class EventSource {
 public:
  // The next bytes of the body; empty: none yet, ask again; nothing: the end.
  using Done = std::function<void(std::optional<std::string>)>;

  virtual ~EventSource() = default;
  // Asks for the next bytes; one request at a time, by one thread after the
  // other. `done` runs once, at any time and on any thread.
  virtual void Next(Done done) = 0;
  // The client has gone: no Next follows. Once, on any thread, also while a
  // Next is under way.
  virtual void Leave() = 0;
  // Bytes that end the body where the server stops, in place of what Next would
  // bring. Any thread, also while a Next is under way.
  virtual std::string StopText() const = 0;
};

// One request that waits for its answer: one call of Answer or Stream. Any
// thread; what comes after the client has gone is dropped.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void Answer(HttpResponse response) = 0;
  // `head` without a body; the body is what `events` bring.
  virtual void Stream(HttpResponse head,
                      std::shared_ptr<EventSource> events) = 0;
  // `gone` runs once, on any thread, if the client goes before Answer or Stream
  // was called; at once if it has gone. At most one such function.
  virtual void OnGone(std::function<void()> gone) = 0;
};

// Who answers. Outlives the server, whose threads call it; does not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void Handle(HttpRequest request,
                      std::shared_ptr<Exchange> exchange) = 0;
  // The answer to a request that has not come to Handle, for want of form or
  // place: `status` and one sentence.
  virtual HttpResponse Refuse(int status, const std::string& message) = 0;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_HTTP_EXCHANGE_H_
