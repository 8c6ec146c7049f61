#include "tools/tandem/turns/batch_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(BatchInputTest, GivesLines) {
  const std::string path =
      ::testing::TempDir() + "/batch_input_test_" + std::to_string(getpid());
  std::ofstream(path, std::ios::binary) << "one\n\nthree";
  auto input = BatchInput::Open(path);
  ASSERT_TRUE(input.ok()) << input.status();
  std::string line;
  EXPECT_TRUE(input->Next(&line));
  EXPECT_EQ(line, "one");
  EXPECT_TRUE(input->Next(&line));
  EXPECT_EQ(line, "");
  EXPECT_TRUE(input->Next(&line));
  EXPECT_EQ(line, "three");
  EXPECT_FALSE(input->Next(&line));
  EXPECT_EQ(input->lines(), 3);
  unlink(path.c_str());
}

TEST(BatchInputTest, WhatCanNotBeReadTwiceIsRefused) {
  EXPECT_THAT(BatchInput::Open("/nonexistent/in").status().message(),
              HasSubstr("/nonexistent/in: cannot read it"));
  EXPECT_THAT(BatchInput::Open("/dev/null").status().message(),
              HasSubstr("/dev/null is no regular file"));
}

}  // namespace
}  // namespace tandem::cli
