#include "services/common/listen/connection_acceptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/common/address.h"

namespace tandem {
namespace {

constexpr int kManyDescriptors = std::numeric_limits<int>::max();
// Far above what anything here takes: a wait in vain fails, and does not hang.
constexpr absl::Duration kLimit = absl::Seconds(60);

class ConnectionAcceptorTest : public ::testing::Test {
 protected:
  void Start(const InboundLimits& limits) {
    auto sockets = ListeningSockets::Open("--listen", "127.0.0.1:0");
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    port_ = ParseHostPort((*sockets)->address())->port;
    acceptor_ = std::make_unique<ConnectionAcceptor>(
        *std::move(sockets),
        AcceptorOptions{.limits = limits, .refused = refused_},
        [this](Descriptor socket) {
          absl::MutexLock lock(&mutex_);
          taken_.push_back(std::move(socket));
        });
  }
  Descriptor Connect() {
    const SocketAddresses address =
        *LookUpHost({.host = "127.0.0.1", .port = port_}, AI_NUMERICHOST);
    Descriptor client(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(connect(client.number(), address->ai_addr, address->ai_addrlen),
              0);
    return client;
  }
  void WaitForTaken(size_t count) {
    const auto came = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return taken_.size() >= count;
    };
    absl::MutexLock lock(&mutex_);
    ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&came), kLimit))
        << taken_.size() << " of " << count << " were taken";
    EXPECT_EQ(taken_.size(), count);
  }
  void DropTaken() {
    absl::MutexLock lock(&mutex_);
    taken_.clear();
  }
  double Refused(const std::string& bound) {
    return refused_->Add({{"bound", bound}}).Value();
  }
  // Waits until the other end has closed.
  static void ExpectClosed(const Descriptor& client) {
    pollfd polled = {.fd = client.number(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(
        poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(kLimit))),
        1)
        << "the connection stays";
    char byte = 0;
    EXPECT_LE(recv(client.number(), &byte, 1, 0), 0);
  }
  // Takes the numbers that are free between descriptors of this process, so
  // that the next ones follow each other; returns the first of these. Whoever
  // started the test may have left any open.
  int FillGaps() {
    int highest = -1;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      highest = std::max(highest, std::stoi(entry.path().filename().string()));
    }
    do {
      gaps_.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    } while (gaps_.back().number() < highest);
    return gaps_.back().number() + 1;
  }

  prometheus::Registry registry_;
  ConnectionCounters* const refused_ = MakeRefusedConnections(&registry_);
  absl::Mutex mutex_;
  std::vector<Descriptor> taken_ ABSL_GUARDED_BY(mutex_);
  std::vector<Descriptor> gaps_;
  int port_ = 0;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
};

TEST_F(ConnectionAcceptorTest, MoreThanTheBoundAreClosedAtOnce) {
  Start({.connections = 3,
         .connections_of_peer = 3,
         .descriptors = kManyDescriptors});
  std::vector<Descriptor> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(Connect());
  WaitForTaken(3);
  for (int i = 0; i < 2; ++i) ExpectClosed(Connect());
  EXPECT_EQ(Refused("connections"), 2);
  EXPECT_EQ(Refused("descriptors"), 0);
  // Who has them closes them without a word.
  DropTaken();
  absl::SleepFor(kCountInterval);
  const Descriptor next = Connect();
  WaitForTaken(1);
}

TEST_F(ConnectionAcceptorTest, SomeDescriptorsStayFree) {
  const int free = FillGaps();
  // For the two sockets that listen and wake, and one client.
  Start({.connections = 100,
         .connections_of_peer = 100,
         .descriptors = free + 4});
  const Descriptor first = Connect();
  WaitForTaken(1);
  const Descriptor second = Connect();
  ExpectClosed(second);
  EXPECT_EQ(Refused("descriptors"), 1);
}

TEST_F(ConnectionAcceptorTest, OutlivesAWantOfDescriptors) {
  Start({.connections = 100,
         .connections_of_peer = 100,
         .descriptors = kManyDescriptors});
  const Descriptor client = Connect();
  WaitForTaken(1);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // A socket that is not connected yet takes the last descriptor.
  const Descriptor late(socket(AF_INET, SOCK_STREAM, 0));
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(
      Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)).number());
  const SocketAddresses address =
      *LookUpHost({.host = "127.0.0.1", .port = port_}, AI_NUMERICHOST);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(connect(late.number(), address->ai_addr, address->ai_addrlen), 0);
  while (Refused("descriptors") < 2) absl::SleepFor(absl::Milliseconds(1));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  WaitForTaken(2);
}

TEST_F(ConnectionAcceptorTest, StopsAtOnce) {
  Start({.connections = 1,
         .connections_of_peer = 1,
         .descriptors = kManyDescriptors});
  acceptor_->Stop();
  const SocketAddresses address =
      *LookUpHost({.host = "127.0.0.1", .port = port_}, AI_NUMERICHOST);
  const Descriptor client(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_NE(connect(client.number(), address->ai_addr, address->ai_addrlen), 0);
  acceptor_->Stop();
}

}  // namespace
}  // namespace tandem
