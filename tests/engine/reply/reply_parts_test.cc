#include "engine/reply/reply_parts.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"

namespace tandem {
namespace {

TEST(ReplyPartsTest, IdsAreNineLettersAndDigitsOfSeedAndIndex) {
  std::set<std::string> ids;
  for (const char* seed : {"", "a", "b"}) {
    for (int index = 0; index < 64; ++index) {
      const std::string id = CallId(seed, index);
      EXPECT_EQ(id.size(), 9u);
      EXPECT_TRUE(absl::c_all_of(
          id, [](unsigned char c) { return absl::ascii_isalnum(c); }));
      EXPECT_EQ(id, CallId(seed, index));
      ids.insert(id);
    }
  }
  EXPECT_EQ(ids.size(), 3u * 64);
}

TEST(ReplyPartsTest, ACallsFirstDeltaHasItsName) {
  CallWriter writer("seed");
  ReplyParts parts;
  EXPECT_TRUE(parts.empty());
  writer.Begin("f", &parts);
  writer.AddArguments('{', &parts);
  ReplyParts later;
  writer.AddArguments('}', &later);
  writer.Begin("g", &later);
  EXPECT_EQ(parts.calls,
            (std::vector<CallDelta>{{0, CallId("seed", 0), "f", "{"}}));
  EXPECT_EQ(later.calls,
            (std::vector<CallDelta>{{.index = 0, .arguments = "}"},
                                    {1, CallId("seed", 1), "g", ""}}));
  EXPECT_EQ(writer.count(), 2);
  EXPECT_FALSE(later.empty());
}

}  // namespace
}  // namespace tandem
