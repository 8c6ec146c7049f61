#include "services/common/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(AddressTest, ReadsHostAndPort) {
  EXPECT_EQ(ParseHostPort("localhost:7070"),
            (HostPort{.host = "localhost", .port = 7070}));
  EXPECT_EQ(ParseHostPort("my_pod-0.tandem.svc:1"),
            (HostPort{.host = "my_pod-0.tandem.svc", .port = 1}));
  EXPECT_EQ(ParseHostPort("[::1]:65535"),
            (HostPort{.host = "::1", .port = 65535}));
  EXPECT_EQ(ParseHostPort("[fe80::1%eth0]:7071"),
            (HostPort{.host = "fe80::1%eth0", .port = 7071}));
  EXPECT_EQ(ParseHostPort("0.0.0.0:0"),
            (HostPort{.host = "0.0.0.0", .port = 0}));
  for (const char* address : {"",          ":",
                              "a",         "a:",
                              ":1",        "a:65536",
                              "a:-1",      "a:+1",
                              "a:1x",      "a:000001",
                              "::1",       "::1:7",
                              "[::1]",     "[::1]7",
                              "[a]:1",     "[::1:7",
                              "[a:7",      "a]:7",
                              "[:7",       "a b:1",
                              "a/b:1",     "http://a:1",
                              "a:1/",      "[fe80::1%]:1",
                              "[%eth0]:1", "[fe80::1%a b]:1",
                              "a%eth0:1"}) {
    EXPECT_EQ(ParseHostPort(address), std::nullopt) << address;
  }
  EXPECT_EQ(ParseHostPort(std::string(254, 'a') + ":1"), std::nullopt);
}

TEST(AddressTest, ReadsPaths) {
  EXPECT_EQ(ParseUnixPath("unix:/run/a"), "/run/a");
  EXPECT_EQ(ParseUnixPath("unix:a:1"), "a:1");
  EXPECT_EQ(ParseUnixPath("unix:///run/a"), "/run/a");
  EXPECT_EQ(ParseUnixPath("unix:"), "");
  EXPECT_EQ(ParseUnixPath("/run/a"), std::nullopt);
}

TEST(AddressTest, GoodAddresses) {
  for (const char* address :
       {"127.0.0.1:7070", "[::1]:7070", "localhost:1", "unix:/run/a.sock",
        "[fe80::1%eth0]:7071", "unix:a.sock", "unix:///run/a.sock",
        "dns:///pool.svc:7071"}) {
    EXPECT_TRUE(CheckPeerAddress(address).ok()) << CheckPeerAddress(address);
  }
}

TEST(AddressTest, OthersAreNamedAsWhatTheyAre) {
  const struct {
    const char* address;
    const char* text;
  } cases[] = {
      {"", "the address is empty: give HOST:PORT"},
      {"127.0.0.1", "127.0.0.1: has no port: give 127.0.0.1:PORT"},
      {"localhost", "localhost: has no port: give localhost:PORT"},
      {"::1", "needs brackets and a port: [IPV6]:PORT"},
      {"localhost:0", "port 0 is no port to connect to"},
      {"http://127.0.0.1:7070",
       "http://127.0.0.1:7070: is a URL; an address has no http://: give "
       "127.0.0.1:7070"},
      {"https://a:1/v1", "has no https://: give a:1"},
      {"grpc://a", "is a URL; an address has no grpc://: give HOST:PORT"},
      {TANDEM_SOURCE_DIR "/README.md", "is a file and not an address"},
      {"no file, no host", "is no address: give HOST:PORT"},
      {"a:70000", "is no address: give HOST:PORT"},
      {"unix:", "names no path"},
      {"dns:///a", "is not dns:///NAME:PORT"},
      {"dns:///a:0", "is not dns:///NAME:PORT"},
      {"a\nb:1", "a\\nb:1: is no address"},
  };
  for (const auto& [address, text] : cases) {
    const absl::Status status = CheckPeerAddress(address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
  EXPECT_THAT(
      std::string(CheckPeerAddress("unix:/" + std::string(200, 'a')).message()),
      HasSubstr("its path has 201 bytes; a unix socket's has at most 107"));
  EXPECT_LT(CheckPeerAddress(std::string(100000, '/')).message().size(), 400u);
}

TEST(AddressTest, HostsAreLookedUp) {
  const auto found =
      LookUpHost({.host = "127.0.0.1", .port = 7}, AI_NUMERICHOST);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->ai_family, AF_INET);
  EXPECT_EQ((*found)->ai_next, nullptr) << "one: of TCP only";
  EXPECT_TRUE(absl::IsUnavailable(
      LookUpHost({.host = "localhost", .port = 7}, AI_NUMERICHOST).status()));
}

}  // namespace
}  // namespace tandem
