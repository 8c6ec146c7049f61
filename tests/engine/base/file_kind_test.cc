#include "engine/base/file_kind.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(FileKindTest, NamesWhatAPathIs) {
  EXPECT_EQ(FileKindName(S_IFREG | 0644), "a regular file");
  EXPECT_EQ(FileKindName(S_IFDIR | 0755), "a directory");
  EXPECT_EQ(FileKindName(S_IFCHR), "a device");
  EXPECT_EQ(FileKindName(S_IFBLK), "a device");
  EXPECT_EQ(FileKindName(S_IFIFO), "a FIFO");
  EXPECT_EQ(FileKindName(S_IFSOCK), "a socket");
  EXPECT_EQ(FileKindName(S_IFLNK), "a symbolic link");
}

}  // namespace
}  // namespace tandem
