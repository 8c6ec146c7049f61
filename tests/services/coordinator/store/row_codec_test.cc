#include "services/coordinator/store/row_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

TEST(TokenBytesTest, AreFourForEachId) {
  const std::vector<TokenId> tokens = {0, 1, 0x01020304, 2147483647};
  EXPECT_EQ(TokenBytes({0x01020304}), "\x04\x03\x02\x01");
  EXPECT_EQ(TokenBytes({}), "");
  EXPECT_THAT(TokensOfBytes(TokenBytes(tokens)), Optional(tokens));
  EXPECT_THAT(TokensOfBytes(""), Optional(ElementsAre()));
}

TEST(TokenBytesTest, OtherBytesAreNoIds) {
  EXPECT_EQ(TokensOfBytes("abc"), std::nullopt);
  EXPECT_EQ(TokensOfBytes("\xff\xff\xff\xff"), std::nullopt);
}

// Stored rows have it, so it never changes.
TEST(RowChecksumTest, IsTheSameForEver) {
  EXPECT_EQ(RowChecksum("tandem_turns", {std::string("id"), int64_t{-1}}),
            int64_t{3284284180291245479});
}

TEST(RowChecksumTest, CoversTableOrderLengthAndEveryBit) {
  const std::vector<SqlValue> row = {std::string("ab"), int64_t{7},
                                     std::string("c")};
  const int64_t checksum = RowChecksum("t", row);
  EXPECT_NE(RowChecksum("u", row), checksum);
  EXPECT_NE(RowChecksum("t", {std::string("a"), int64_t{7}, std::string("bc")}),
            checksum);
  EXPECT_NE(RowChecksum("t", {int64_t{7}, std::string("ab"), std::string("c")}),
            checksum);
  EXPECT_NE(RowChecksum("t", {std::string("ab"), int64_t{7}}), checksum);
  for (int bit = 0; bit < 64; ++bit) {
    std::vector<SqlValue> other = row;
    std::get<int64_t>(other[1]) ^= int64_t{1} << bit;
    EXPECT_NE(RowChecksum("t", other), checksum) << bit;
  }
}

}  // namespace
}  // namespace tandem
