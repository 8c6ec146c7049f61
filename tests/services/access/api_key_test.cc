#include "services/access/api_key.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tandem {
namespace {

TEST(ApiKeyTest, DrawnKeysHaveTheFormAndDiffer) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.insert(DrawApiKey());
  EXPECT_EQ(keys.size(), 100u);
  for (const std::string& key : keys) {
    EXPECT_EQ(key.size(), kApiKeyBytes);
    EXPECT_TRUE(IsApiKey(key)) << key;
  }
}

TEST(ApiKeyTest, OtherFormsAreNone) {
  const std::string key = DrawApiKey();
  for (const std::string& other :
       {std::string(), key + "A", key.substr(0, key.size() - 1),
        "Tandem_" + key.substr(7), key.substr(0, key.size() - 1) + "=",
        key.substr(0, key.size() - 1) + "\n"}) {
    EXPECT_FALSE(IsApiKey(other)) << other;
  }
}

// The example of FIPS 180-4.
TEST(ApiKeyTest, HashIsThatOfSha256sum) {
  EXPECT_EQ(HashOfApiKey("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HashOfApiKey(DrawApiKey()).size(), kApiKeyHashBytes);
}

}  // namespace
}  // namespace tandem
