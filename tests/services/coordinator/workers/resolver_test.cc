#include "services/coordinator/workers/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(ParseDnsNameTest, TellsNamesFromAddresses) {
  for (const char* address :
       {"localhost:7071", "10.0.0.1:7071", "unix:/run/a.sock", "[::1]:7071"}) {
    const auto name = ParseDnsName(address);
    ASSERT_TRUE(name.ok());
    EXPECT_FALSE(name->has_value()) << address;
  }
  const auto name = ParseDnsName("dns:///tandem-target.tandem.svc:7071");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(**name,
            (HostPort{.host = "tandem-target.tandem.svc", .port = 7071}));
}

TEST(ParseDnsNameTest, RefusesNamesWithoutPort) {
  for (const char* item :
       {"dns:///name", "dns:///:7071", "dns:///name:", "dns:///name:x",
        "dns:///name:0", "dns:///name:65536", "dns:///"}) {
    const absl::Status status = ParseDnsName(item).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << item;
    EXPECT_THAT(status.message(), HasSubstr(item));
  }
}

// Numeric hosts need no name server.
TEST(SystemResolverTest, WritesAddressesAsChannelsTakeThem) {
  SystemResolver resolver;
  EXPECT_THAT(*resolver.Resolve({.host = "127.0.0.1", .port = 7071}),
              ::testing::ElementsAre("127.0.0.1:7071"));
  EXPECT_THAT(*resolver.Resolve({.host = "::1", .port = 80}),
              ::testing::ElementsAre("[::1]:80"));
}

TEST(SystemResolverTest, SaysThatANameIsUnknown) {
  SystemResolver resolver;
  // Longer than a label of a name may be: refused without a lookup.
  const std::string host(300, 'a');
  EXPECT_EQ(resolver.Resolve({.host = host, .port = 1}).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tandem
