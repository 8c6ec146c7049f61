#include "services/common/listen_check.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kInUse[] =
    ": is in use: another server listens there; stop it, or choose another "
    "address";

class ListenCheckTest : public ::testing::Test {
 protected:
  ~ListenCheckTest() override { fs::remove(path_); }

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
  std::string Message(const std::string& address) {
    const absl::Status status = CheckCanListen("--listen", address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  const std::string path_ =
      absl::StrCat(::testing::TempDir(), "listen-", getpid(), ".sock");
};

TEST_F(ListenCheckTest, APortInUseIsRefused) {
  const Descriptor server(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(server.number(), generic, size), 0);
  ASSERT_EQ(listen(server.number(), 1), 0);
  ASSERT_EQ(getsockname(server.number(), generic, &size), 0);
  const int port = ntohs(address.sin_port);
  // Also by a name of which another address is free, and as any address.
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0"}) {
    const std::string taken = absl::StrCat(host, ":", port);
    EXPECT_EQ(Message(taken), absl::StrCat("--listen ", taken, kInUse));
    EXPECT_EQ(CannotListen("--listen", taken).message(),
              absl::StrCat("--listen ", taken, kInUse));
  }
  EXPECT_TRUE(CheckCanListen("--listen", "127.0.0.1:0").ok());
}

TEST_F(ListenCheckTest, WhatOnlyGrpcRefusesIsNotInUse) {
  const std::string address = absl::StrCat("unix:", path_);
  EXPECT_EQ(CannotListen("--listen", address).message(),
            absl::StrCat("--listen ", address,
                         ": gRPC can not listen there; --log-level debug shows "
                         "why"));
}

TEST_F(ListenCheckTest, AddressesOfOthersAreRefused) {
  EXPECT_THAT(Message("192.0.2.1:7070"),  // of documentation, RFC 5737
              HasSubstr("can not be listened at: Cannot assign"));
}

TEST_F(ListenCheckTest, ASocketWithAServerIsRefusedAndStays) {
  const std::string address = absl::StrCat("unix:", path_);
  EXPECT_TRUE(CheckCanListen("--listen", address).ok());
  EXPECT_FALSE(fs::exists(path_)) << "only tried";
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
  EXPECT_TRUE(CheckCanListen("--listen", address).ok());
}

TEST_F(ListenCheckTest, WhatIsNoSocketIsRefusedAndStays) {
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

}  // namespace
}  // namespace tandem
