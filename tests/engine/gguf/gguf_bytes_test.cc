#include "engine/gguf/gguf_bytes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "engine/base/hash.h"

namespace tandem {
namespace {

// Of more than one step of Hold.
std::string Content() {
  std::string content(1 << 20, '\0');
  for (size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<char>(i * 7 + i / 251);
  }
  return content;
}

class GgufBytesTest : public ::testing::Test {
 protected:
  GgufBytesTest() { std::ofstream(path_, std::ios::binary) << content_; }
  ~GgufBytesTest() override { std::filesystem::remove(path_); }

  const std::string path_ =
      ::testing::TempDir() + "/gguf_bytes_test_" + std::to_string(getpid());
  const std::string content_ = Content();
};

std::string Part(const GgufBytes& bytes, uint64_t offset, size_t size) {
  std::string part(size, '\0');
  const absl::Status status = bytes.Read(
      offset, {reinterpret_cast<uint8_t*>(part.data()), part.size()});
  return status.ok() ? part : std::string(status.message());
}

std::string Held(const GgufBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.held()};
}

TEST_F(GgufBytesTest, HoldsTheStartAndReadsTheRest) {
  const auto bytes = *GgufBytes::Open(path_);
  EXPECT_EQ(bytes->name(), path_);
  EXPECT_EQ(bytes->size(), content_.size());
  EXPECT_EQ(bytes->held(), 0u);
  ASSERT_TRUE(bytes->Hold(10).ok());
  const uint8_t* const data = bytes->data();
  EXPECT_GE(bytes->held(), 10u);
  EXPECT_LT(bytes->held(), content_.size());
  EXPECT_EQ(Held(*bytes), content_.substr(0, bytes->held()));
  ASSERT_TRUE(bytes->Hold(content_.size() - 1).ok());
  EXPECT_EQ(bytes->data(), data) << "what is held does not move";
  EXPECT_EQ(Held(*bytes), content_);
  for (const size_t offset : {size_t{0}, size_t{12345}, content_.size() - 9}) {
    EXPECT_EQ(Part(*bytes, offset, 9), content_.substr(offset, 9));
  }
  EXPECT_EQ(Part(*bytes, content_.size(), 0), "");
}

TEST_F(GgufBytesTest, BytesInMemoryAreTheSame) {
  const auto file = *GgufBytes::Open(path_);
  const auto memory = GgufBytes::FromString(content_, "memory");
  EXPECT_EQ(memory->name(), "memory");
  EXPECT_EQ(Held(*memory), content_);
  EXPECT_TRUE(memory->Hold(content_.size()).ok());
  EXPECT_EQ(Part(*memory, 77, 100), Part(*file, 77, 100));
  EXPECT_TRUE(memory->CheckUnchanged().ok());
  const std::string digest = Sha256OfBytes(
      {reinterpret_cast<const uint8_t*>(content_.data()), content_.size()});
  EXPECT_EQ(*memory->Sha256Digest(), digest);
  EXPECT_EQ(*file->Sha256Digest(), digest);
}

TEST_F(GgufBytesTest, ChangesAreErrorsAndWhatIsHeldStays) {
  const auto bytes = *GgufBytes::Open(path_);
  ASSERT_TRUE(bytes->Hold(10).ok());
  const size_t held = bytes->held();
  EXPECT_TRUE(bytes->CheckUnchanged().ok());
  std::filesystem::resize_file(path_, 5);
  EXPECT_TRUE(absl::StrContains(Part(*bytes, 6, 1), "has changed"));
  EXPECT_TRUE(
      absl::StrContains(bytes->Hold(held + 1).message(), "has changed"));
  EXPECT_FALSE(bytes->Sha256Digest().ok());
  EXPECT_FALSE(bytes->CheckUnchanged().ok());
  EXPECT_EQ(Held(*bytes), content_.substr(0, held));
}

}  // namespace
}  // namespace tandem
