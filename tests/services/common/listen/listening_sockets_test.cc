#include "services/common/listen/listening_sockets.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/services/common/silent_server.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kInUse[] =
    ": is in use: another server listens there; stop it, or choose another "
    "address";

class ListeningSocketsTest : public ::testing::Test {
 protected:
  ~ListeningSocketsTest() override { fs::remove(path_); }

  // A server at path_.
  Descriptor ListenAtPath() {
    Descriptor server(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    EXPECT_EQ(bind(server.number(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)),
              0);
    EXPECT_EQ(listen(server.number(), 0), 0);
    return server;
  }
  std::unique_ptr<ListeningSockets> Open(const std::string& address) {
    auto sockets = ListeningSockets::Open("--listen", address);
    EXPECT_TRUE(sockets.ok()) << sockets.status();
    return sockets.ok() ? *std::move(sockets) : nullptr;
  }
  std::string Message(const std::string& address) {
    const absl::Status status =
        ListeningSockets::Open("--listen", address).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  const std::string path_ =
      absl::StrCat(::testing::TempDir(), "listen-", getpid(), ".sock");
};

Descriptor ConnectTo(const std::string& host, int port) {
  const SocketAddresses list = *LookUpHost({.host = host, .port = port});
  for (const addrinfo* it = list.get(); it != nullptr; it = it->ai_next) {
    Descriptor socket(::socket(it->ai_family, SOCK_STREAM, 0));
    if (connect(socket.number(), it->ai_addr, it->ai_addrlen) == 0) {
      return socket;
    }
  }
  ADD_FAILURE() << host << ": " << strerror(errno);
  return Descriptor();
}

// Waits for it.
Accepted AcceptOne(const ListeningSockets& sockets) {
  while (true) {
    for (const Descriptor& socket : sockets.sockets()) {
      absl::StatusOr<std::optional<Accepted>> next = AcceptConnection(socket);
      EXPECT_TRUE(next.ok()) << next.status();
      if (next->has_value()) return **std::move(next);
    }
  }
}

TEST_F(ListeningSocketsTest, APortInUseIsRefused) {
  const SilentServer server;
  // Also by a name of which another address is free, and as any address.
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0"}) {
    const std::string taken = absl::StrCat(host, ":", server.port());
    EXPECT_EQ(Message(taken), absl::StrCat("--listen ", taken, kInUse));
  }
  const auto ours = Open("127.0.0.1:0");
  EXPECT_EQ(Message(ours->address()),
            absl::StrCat("--listen ", ours->address(), kInUse));
}

TEST_F(ListeningSocketsTest, AddressesOfOthersAreRefused) {
  EXPECT_THAT(Message("192.0.2.1:7070"),  // of documentation, RFC 5737
              HasSubstr("can not be listened at: Cannot assign"));
}

TEST_F(ListeningSocketsTest, ListensAtAllAddressesOfAName) {
  for (const char* listen : {"localhost:0", "0.0.0.0:0", "[::]:0"}) {
    const auto sockets = Open(listen);
    const int port = ParseHostPort(sockets->address())->port;
    EXPECT_GT(port, 0);
    for (const char* host : {"localhost", "127.0.0.1"}) {
      const Descriptor client = ConnectTo(host, port);
      const Accepted accepted = AcceptOne(*sockets);
      EXPECT_EQ(accepted.peer, "") << "this machine";
    }
  }
}

TEST_F(ListeningSocketsTest, ASocketWithAServerIsRefusedAndStays) {
  const std::string address = absl::StrCat("unix:", path_);
  {
    const Descriptor server = ListenAtPath();
    EXPECT_EQ(Message(address), absl::StrCat("--listen ", address, kInUse));
    // Its queue is full now: it still runs.
    EXPECT_EQ(Message(address), absl::StrCat("--listen ", address, kInUse));
    EXPECT_EQ(Message(absl::StrCat("unix://", path_)),
              absl::StrCat("--listen unix://", path_, kInUse));
    EXPECT_TRUE(fs::is_socket(path_));
  }
  ASSERT_TRUE(fs::is_socket(path_)) << "left behind";
  EXPECT_EQ(Open(address)->address(), address);
  EXPECT_FALSE(fs::exists(path_)) << "removed with the server";
}

TEST_F(ListeningSocketsTest, TheFileOfAnotherServerStays) {
  auto first = Open(absl::StrCat("unix:", path_));
  fs::remove(path_);  // by an operator
  const auto second = Open(absl::StrCat("unix:", path_));
  first.reset();
  EXPECT_TRUE(fs::is_socket(path_));
}

TEST_F(ListeningSocketsTest, WhatIsNoSocketIsRefusedAndStays) {
  std::ofstream(path_) << "text";
  EXPECT_THAT(Message(absl::StrCat("unix:", path_)),
              HasSubstr("is a regular file"));
  EXPECT_TRUE(fs::is_regular_file(path_));
  EXPECT_THAT(Message(absl::StrCat("unix:", ::testing::TempDir())),
              HasSubstr("is a directory"));
  EXPECT_THAT(Message("unix:/nonexistent/a"),
              HasSubstr("No such file or directory"));
  EXPECT_THAT(Message(absl::StrCat("unix:/", std::string(200, 'a'))),
              HasSubstr("at most 107 bytes"));
}

TEST_F(ListeningSocketsTest, WithoutDescriptorsConnectionsWait) {
  const auto sockets = Open("127.0.0.1:0");
  const Descriptor client =
      ConnectTo("127.0.0.1", ParseHostPort(sockets->address())->port);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(Descriptor(dup(0)).number());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(AcceptConnection(sockets->sockets()[0]).status().code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(AcceptOne(*sockets).socket.is_open());
  EXPECT_FALSE(AcceptConnection(sockets->sockets()[0])->has_value());
}

TEST(BoundAddressTest, TakesThePort) {
  EXPECT_EQ(BoundAddress("127.0.0.1:0", 7), "127.0.0.1:7");
  EXPECT_EQ(BoundAddress("[::1]:0", 65535), "[::1]:65535");
  EXPECT_EQ(BoundAddress("localhost:7", 7), "localhost:7");
  EXPECT_EQ(BoundAddress("unix:/tmp/a:0", 1), "unix:/tmp/a:0");
}

TEST(PeerOfTest, IsAnAddressOrANetwork) {
  const auto peer = [](const std::string& text) {
    sockaddr_storage address = {};
    auto* const v4 = reinterpret_cast<sockaddr_in*>(&address);
    auto* const v6 = reinterpret_cast<sockaddr_in6*>(&address);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
      v6->sin6_family = AF_INET6;
    } else {
      address.ss_family = AF_UNIX;
    }
    return PeerOf(address);
  };
  EXPECT_EQ(peer("192.0.2.1"), std::string("\xC0\x00\x02\x01", 4));
  EXPECT_EQ(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
  EXPECT_NE(peer("192.0.2.2"), peer("192.0.2.1"));
  EXPECT_EQ(peer("2001:db8::1"), peer("2001:db8::2:1"));
  EXPECT_NE(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
  for (const char* here :
       {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "unix"}) {
    EXPECT_EQ(peer(here), "") << here;
  }
}

}  // namespace
}  // namespace tandem
