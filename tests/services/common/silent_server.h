// A port whose connections the system takes and nobody answers, as of a process
// that is stopped. Owned by its test; one thread.

#ifndef TANDEM_TESTS_SERVICES_COMMON_SILENT_SERVER_H_
#define TANDEM_TESTS_SERVICES_COMMON_SILENT_SERVER_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/descriptor.h"

namespace tandem {

class SilentServer {
 public:
  SilentServer() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    constexpr int kQueue = 16;  // connections
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    TANDEM_CHECK(bind(socket_.number(), generic, size) == 0);
    TANDEM_CHECK(listen(socket_.number(), kQueue) == 0);
    TANDEM_CHECK(getsockname(socket_.number(), generic, &size) == 0);
    port_ = ntohs(address.sin_port);
  }

  int port() const { return port_; }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  // The listening socket, for a test that answers in its own way.
  int number() const { return socket_.number(); }

 private:
  const Descriptor socket_;
  int port_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COMMON_SILENT_SERVER_H_
