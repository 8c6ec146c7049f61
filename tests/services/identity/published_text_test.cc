#include "services/identity/published_text.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

namespace tandem {
namespace {

std::string Read(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

time_t ModifiedAt(const std::string& path) {
  struct stat info;
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mtime;
}

TEST(PublishedTextTest, ThePathStaysAndTheTextChanges) {
  PublishedText text;
  EXPECT_EQ(text.path(), "");
  ASSERT_TRUE(text.Set("one").ok());
  const std::string path = text.path();
  EXPECT_EQ(Read(path), "one");
  const time_t before = ModifiedAt(path);
  EXPECT_NE(before, 0) << "0 stands for an error in gRPC";
  // Within the same second, of which file times may be no finer.
  ASSERT_TRUE(text.Set("another").ok());
  EXPECT_EQ(text.path(), path);
  EXPECT_EQ(Read(path), "another");
  EXPECT_GT(ModifiedAt(path), before);
  ASSERT_TRUE(text.Set("").ok());
  EXPECT_EQ(Read(path), "");
}

TEST(PublishedTextTest, IsReadableAfterItsEnd) {
  std::string path;
  {
    PublishedText text;
    ASSERT_TRUE(text.Set("kept").ok());
    path = text.path();
  }
  EXPECT_EQ(Read(path), "kept");
}

TEST(PublishedTextTest, ReadersSeeWholeTexts) {
  const std::string first(100000, 'a');
  const std::string second(50000, 'b');
  PublishedText text;
  ASSERT_TRUE(text.Set(first).ok());
  std::atomic<bool> is_over{false};
  std::thread reader([&] {
    while (!is_over.load()) {
      const std::string seen = Read(text.path());
      EXPECT_TRUE(seen == first || seen == second) << seen.size();
    }
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(text.Set(i % 2 == 0 ? second : first).ok());
  }
  is_over.store(true);
  reader.join();
}

}  // namespace
}  // namespace tandem
