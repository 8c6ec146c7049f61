#include "services/common/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::string Error(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
  return std::string(status.message());
}

TEST(TlsFlagsTest, ServerFilesGoTogether) {
  EXPECT_TRUE(CheckTlsFlags(ServerTlsFiles()).ok());
  for (const char* client_ca : {"", "a"}) {
    EXPECT_TRUE(
        CheckTlsFlags(
            ServerTlsFiles{.cert = "c", .key = "k", .client_ca = client_ca})
            .ok());
  }
  EXPECT_THAT(Error(CheckTlsFlags(
                  ServerTlsFiles{.cert = "c", .key = "", .client_ca = ""})),
              HasSubstr("--tls-key"));
  EXPECT_THAT(Error(CheckTlsFlags(
                  ServerTlsFiles{.cert = "", .key = "k", .client_ca = ""})),
              HasSubstr("--tls-cert"));
  EXPECT_THAT(Error(CheckTlsFlags(
                  ServerTlsFiles{.cert = "", .key = "", .client_ca = "a"})),
              HasSubstr("--tls-client-ca"));
}

TEST(TlsFlagsTest, ChannelFilesGoTogether) {
  EXPECT_TRUE(CheckTlsFlags(ChannelTlsFiles()).ok());
  EXPECT_TRUE(
      CheckTlsFlags(ChannelTlsFiles{.ca = "a", .cert = "", .key = ""}).ok());
  EXPECT_TRUE(
      CheckTlsFlags(ChannelTlsFiles{.ca = "a", .cert = "c", .key = "k"}).ok());
  EXPECT_THAT(
      Error(CheckTlsFlags(ChannelTlsFiles{.ca = "a", .cert = "c", .key = ""})),
      HasSubstr("together"));
  EXPECT_THAT(
      Error(CheckTlsFlags(ChannelTlsFiles{.ca = "", .cert = "c", .key = "k"})),
      HasSubstr("CA"));
}

TEST(ListenAddressTest, LoopbackNeedsNothing) {
  for (const char* address :
       {"127.0.0.1:7070", "127.0.0.1:0", "127.9.9.9:65535", "localhost:1",
        "[::1]:7070", "unix:/tmp/x.sock", "unix:x"}) {
    EXPECT_TRUE(CheckListenAddress(address, {}, false).ok()) << address;
  }
}

TEST(ListenAddressTest, OthersNeedTlsOrTheFlag) {
  const ServerTlsFiles tls{.cert = "c", .key = "k", .client_ca = ""};
  for (const char* address :
       {"0.0.0.0:7070", "[::]:7070", "10.0.0.1:7070", "example.com:7070",
        "128.0.0.1:1", "[fe80::1]:1", "localhost.example.com:1"}) {
    const absl::Status status = CheckListenAddress(address, {}, false);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--insecure-listen"));
    EXPECT_TRUE(CheckListenAddress(address, tls, false).ok()) << address;
    EXPECT_TRUE(CheckListenAddress(address, {}, true).ok()) << address;
  }
}

TEST(ListenAddressTest, MalformedIsRefusedEvenIfAllowed) {
  for (const char* address :
       {"", "7070", ":7070", "localhost", "localhost:", "localhost:x",
        "localhost:70 70", "localhost:+1", "localhost:-1", "localhost:65536",
        "localhost:999999", "::1:7070", "[::1]", "[x]:1", "[]:1",
        "unix:", "ipv4:127.0.0.1:1", "dns:///localhost:1"}) {
    const absl::Status status = CheckListenAddress(address, {}, true);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("host:port"));
  }
}

}  // namespace
}  // namespace tandem
