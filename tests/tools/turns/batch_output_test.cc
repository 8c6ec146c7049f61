#include "tools/tandem/turns/batch_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

class BatchOutputTest : public ::testing::Test {
 protected:
  ~BatchOutputTest() override {
    unlink(input_.c_str());
    unlink(output_.c_str());
  }

  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string Written() const {
    std::ifstream file(output_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  absl::StatusOr<BatchOutput> Open(const BatchDefaults& defaults = {}) {
    return BatchOutput::Open(
        {.path = output_, .input_path = input_, .defaults = defaults});
  }
  static Json LineOf(const std::string& asked) {
    return {{"id", 1}, {"input", DigestOfLine(asked, {})}};
  }

  const std::string input_ =
      ::testing::TempDir() + "/batch_output_test_" + std::to_string(getpid());
  const std::string output_ = input_ + ".out";
};

TEST_F(BatchOutputTest, GoesOnWhereItStopped) {
  Write(input_, "a\nb\nc\n");
  {
    auto output = Open();
    ASSERT_TRUE(output.ok()) << output.status();
    EXPECT_EQ(output->lines(), 0);
    ASSERT_TRUE(output->Add(LineOf("a")).ok());
    Json failed = LineOf("b");
    failed["error"] = "e";
    ASSERT_TRUE(output->Add(failed).ok());
    EXPECT_EQ(output->failed(), 1);
    EXPECT_TRUE(output->Sync().ok());
  }
  const std::string whole = Written();
  // The last line torn at each of its bytes.
  const size_t second = whole.find('\n') + 1;
  for (size_t kept = second; kept <= whole.size(); ++kept) {
    Write(output_, whole.substr(0, kept));
    const auto output = Open();
    ASSERT_TRUE(output.ok()) << output.status();
    EXPECT_EQ(output->lines(), kept == whole.size() ? 2 : 1);
    EXPECT_EQ(output->failed(), kept == whole.size() ? 1 : 0);
    EXPECT_EQ(Written(),
              kept == whole.size() ? whole : whole.substr(0, second));
  }
}

TEST_F(BatchOutputTest, WhatIsNotOfTheInputIsRefused) {
  Write(input_, "a\nb\n");
  const auto error = [this](const std::string& lines,
                            const BatchDefaults& defaults = {}) {
    Write(output_, lines);
    const absl::Status status = Open(defaults).status();
    EXPECT_EQ(Written(), lines) << "nothing was touched";
    return std::string(status.message());
  };
  const std::string a = LineOf("a").dump() + "\n";
  const std::string b = LineOf("b").dump() + "\n";
  EXPECT_EQ(error(a + b), "");
  EXPECT_THAT(error(b), HasSubstr("line 1 is not of that line of"));
  EXPECT_THAT(error(a + a), HasSubstr("line 2"));
  EXPECT_THAT(error(a + b + b), HasSubstr("line 3")) << "more than the input";
  EXPECT_THAT(error("text\n"), HasSubstr("line 1"));
  EXPECT_THAT(error("{\"input\": 3}\n"), HasSubstr("line 1"));
  EXPECT_THAT(error(a, {.model_id = "m"}), HasSubstr("line 1"));
}

TEST_F(BatchOutputTest, FilesThatCanNotBeWrittenAreRefused) {
  Write(input_, "a\n");
  const auto error = [this](const std::string& path) {
    return std::string(
        BatchOutput::Open(
            {.path = path, .input_path = input_, .defaults = BatchDefaults()})
            .status()
            .message());
  };
  EXPECT_THAT(error("/nonexistent/out"), HasSubstr("cannot open it"));
  EXPECT_THAT(error("/dev/null"), HasSubstr("no regular file"));
  EXPECT_THAT(error(input_), HasSubstr("is the input too"));
  const auto output = Open();
  ASSERT_TRUE(output.ok());
  EXPECT_THAT(Open().status().message(), HasSubstr("another process"));
}

}  // namespace
}  // namespace tandem::cli
