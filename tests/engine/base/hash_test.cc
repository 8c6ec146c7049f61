#include "engine/base/hash.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

// The digest of the eight length bytes 03 00.. and "abc", by sha256sum.
TEST(HashTest, IsSha256OfTheFramedContent) {
  Sha256 hash;
  hash.AddString("abc");
  EXPECT_EQ(hash.HexDigest(),
            "ce91dc5eec0139adf091900d225971d6ad246a845bad791b5693a9d0d55dd391");
}

TEST(HashTest, FramingSeparatesTheParts) {
  Sha256 a;
  a.AddString("ab");
  a.AddString("c");
  Sha256 b;
  b.AddString("a");
  b.AddString("bc");
  EXPECT_NE(a.HexDigest(), b.HexDigest());
}

TEST(HashTest, BytesAndStringsOfOneContentAgree) {
  const uint8_t bytes[] = {'x', 'y'};
  Sha256 a;
  a.AddBytes(bytes);
  Sha256 b;
  b.AddString("xy");
  EXPECT_EQ(a.HexDigest(), b.HexDigest());
}

}  // namespace
}  // namespace tandem
