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

// By sha256sum.
TEST(HashTest, OfBytesAloneIsAsToolsPrintIt) {
  const uint8_t bytes[] = {'a', 'b', 'c'};
  EXPECT_EQ(Sha256OfBytes(bytes),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256OfBytes({}),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(HashTest, UnframedPiecesAreTheWhole) {
  const uint8_t bytes[] = {'a', 'b', 'c'};
  Sha256 hash;
  hash.AddUnframed(absl::MakeConstSpan(bytes).first(1));
  hash.AddUnframed({});
  hash.AddUnframed(absl::MakeConstSpan(bytes).subspan(1));
  EXPECT_EQ(hash.HexDigest(), Sha256OfBytes(bytes));
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

// The first outputs of the reference implementation from state 0.
TEST(SplitMix64Test, IsThePublishedGenerator) {
  EXPECT_EQ(SplitMix64(0), 0xe220a8397b1dcdaf);
  EXPECT_EQ(SplitMix64(0x9e3779b97f4a7c15), 0x6e789e6aa1b965f4);
}

}  // namespace
}  // namespace tandem
