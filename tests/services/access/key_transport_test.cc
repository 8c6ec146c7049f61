#include "services/access/key_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

TEST(KeyTransportTest, LocalAddresses) {
  for (const char* local : {"127.0.0.1:7070", "localhost:0", "[::1]:1",
                            "unix:/tmp/socket", "127.1.2.3:4"}) {
    EXPECT_TRUE(IsLocalAddress(local)) << local;
    EXPECT_TRUE(CheckKeyTransport("--listen", local, {}).ok()) << local;
  }
  for (const char* other : {"0.0.0.0:7070", "[::]:7070", "example.org:1",
                            "10.0.0.1:1", "dns:///localhost:1", "unix:", ""}) {
    EXPECT_FALSE(IsLocalAddress(other)) << other;
  }
}

TEST(KeyTransportTest, OtherAddressesNeedTls) {
  const absl::Status status = CheckKeyTransport("--listen", "0.0.0.0:1", {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::StartsWith("--listen 0.0.0.0:1: with --keys, keys "
                                    "would cross the network in plain text"));
  EXPECT_TRUE(CheckKeyTransport("--listen", "0.0.0.0:1",
                                {.cert = "c", .key = "k", .client_ca = ""})
                  .ok());
}

}  // namespace
}  // namespace tandem
