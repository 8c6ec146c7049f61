#include "services/common/listening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/common/silent_server.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kInUse[] =
    ": is in use: another server listens there; stop it, or choose another "
    "address";

class ListeningTest : public ::testing::Test {
 protected:
  ~ListeningTest() override { fs::remove(path_); }

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

TEST_F(ListeningTest, APortInUseIsRefused) {
  const SilentServer server;
  // Also by a name of which another address is free, and as any address.
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0"}) {
    const std::string taken = absl::StrCat(host, ":", server.port());
    EXPECT_EQ(Message(taken), absl::StrCat("--listen ", taken, kInUse));
    EXPECT_EQ(CannotListen("--listen", taken).message(),
              absl::StrCat("--listen ", taken, kInUse));
  }
  EXPECT_TRUE(CheckCanListen("--listen", "127.0.0.1:0").ok());
}

TEST_F(ListeningTest, WhatOnlyGrpcRefusesIsNotInUse) {
  const std::string address = absl::StrCat("unix:", path_);
  EXPECT_EQ(CannotListen("--listen", address).message(),
            absl::StrCat("--listen ", address,
                         ": gRPC can not listen there; --log-level debug shows "
                         "why"));
}

TEST_F(ListeningTest, AddressesOfOthersAreRefused) {
  EXPECT_THAT(Message("192.0.2.1:7070"),  // of documentation, RFC 5737
              HasSubstr("can not be listened at: Cannot assign"));
}

TEST_F(ListeningTest, ASocketWithAServerIsRefusedAndStays) {
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

TEST_F(ListeningTest, WhatIsNoSocketIsRefusedAndStays) {
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

TEST_F(ListeningTest, AServerListensWhereItSays) {
  v1::WorkerService::CallbackService service;
  const auto add = [&service](grpc::ServerBuilder* builder) {
    builder->RegisterService(&service);
  };
  const absl::StatusOr<ListeningServer> server =
      StartServer({.flag = "--listen", .address = "127.0.0.1:0"}, add);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT(server->address, ::testing::StartsWith("127.0.0.1:"));
  EXPECT_EQ(StartServer({.flag = "--listen", .address = server->address}, add)
                .status()
                .message(),
            absl::StrCat("--listen ", server->address, kInUse));
  EXPECT_EQ(
      StartServer(
          {.flag = "--listen",
           .address = "127.0.0.1:0",
           .tls = {.cert = "/nonexistent", .key = "/no", .client_ca = ""}},
          add)
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(BoundAddressTest, TakesThePort) {
  EXPECT_EQ(BoundAddress("127.0.0.1:0", 7), "127.0.0.1:7");
  EXPECT_EQ(BoundAddress("[::1]:0", 65535), "[::1]:65535");
  EXPECT_EQ(BoundAddress("localhost:7", 7), "localhost:7");
  EXPECT_EQ(BoundAddress("unix:/tmp/a:0", 1), "unix:/tmp/a:0");
}

TEST(BoundAddressTest, WritesTheFileInOneStep) {
  const std::string directory =
      absl::StrCat(::testing::TempDir(), "address-", getpid());
  std::filesystem::create_directory(directory);
  const std::string path = absl::StrCat(directory, "/file");
  std::ofstream(path) << "old and longer than the new one\n";
  ASSERT_TRUE(WriteAddressFile(path, "127.0.0.1:7").ok());
  std::ifstream file(path);
  std::string line;
  EXPECT_TRUE(std::getline(file, line));
  EXPECT_EQ(line, "127.0.0.1:7");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files += entry.exists() ? 1 : 0;
  }
  EXPECT_EQ(files, 1) << "nothing temporary is left";
  EXPECT_TRUE(WriteAddressFile("", "x").ok());
  EXPECT_EQ(WriteAddressFile(directory, "x").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteAddressFile(absl::StrCat(directory, "/no/file"), "x").code(),
            absl::StatusCode::kInvalidArgument);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tandem
