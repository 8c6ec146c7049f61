#include "services/common/bound_address.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

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
  EXPECT_EQ(WriteAddressFile(directory, "x").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteAddressFile(absl::StrCat(directory, "/no/file"), "x").code(),
            absl::StatusCode::kInvalidArgument);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tandem
