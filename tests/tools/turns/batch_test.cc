#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

class BatchTest : public ::testing::Test {
 protected:
  ~BatchTest() override {
    unlink(input_.c_str());
    unlink(output_.c_str());
  }

  void WriteInput(int lines) {
    std::ofstream file(input_);
    for (int i = 0; i < lines; ++i) {
      file << R"({"id": "line )" << i << R"(", "prompt": "p", "choice": )"
           << i % 64 << "}\n";
    }
  }
  RunResult Run(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"batch", input_, output_, "--coordinator",
                               service_.address()});
    return RunTandem(more);
  }
  std::string Bytes() const {
    std::ifstream file(output_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(output_);
    for (std::string line; std::getline(file, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  FakeService service_;
  const std::string input_ =
      ::testing::TempDir() + "/batch_test_" + std::to_string(getpid());
  const std::string output_ = input_ + ".out";
};

TEST_F(BatchTest, WritesALineForEachInOrder) {
  WriteInput(100);
  const RunResult result = Run({"--concurrency", "5", "--max-tokens", "9"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("100%"));
  const std::vector<nlohmann::json> lines = Lines();
  ASSERT_EQ(lines.size(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(lines[i]["id"], "line " + std::to_string(i));
    EXPECT_EQ(lines[i]["token_ids"][0], 1000 * (i % 64) + 100);
    EXPECT_EQ(lines[i]["text"], "Once upon");
  }
  EXPECT_EQ(service_.last_turn().options().max_tokens(), 9);
  // All is there: nothing runs again.
  const std::string bytes = Bytes();
  EXPECT_EQ(Run({"--concurrency", "5", "--max-tokens", "9"}).code, 0);
  EXPECT_EQ(Bytes(), bytes);
  EXPECT_EQ(service_.turns().size(), 100u);
  EXPECT_EQ(Run().code, 2) << "other flags";
}

TEST_F(BatchTest, GoesOnWhereItStopped) {
  WriteInput(20);
  ASSERT_EQ(Run().code, 0);
  const std::string whole = Bytes();
  ASSERT_EQ(truncate(output_.c_str(), static_cast<off_t>(whole.size() / 2)), 0);
  EXPECT_EQ(Run().code, 0);
  EXPECT_EQ(Bytes(), whole);
  EXPECT_LT(service_.turns().size(), 35u);
}

TEST_F(BatchTest, WrongLinesHaveErrorsAndTheCodeSaysSo) {
  std::ofstream(input_) << "{\"prompt\": \"p\"}\nnonsense\n{\"prompt\": 3}\n"
                        << "{\"prompt\": \"q\"}";
  const RunResult result = Run();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("2 of 4 lines failed"));
  const std::vector<nlohmann::json> lines = Lines();
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0]["text"], "Once upon");
  EXPECT_EQ(lines[1]["error"]["reason"], "INVALID_OPTIONS");
  EXPECT_EQ(lines[2]["id"], 3);
  EXPECT_EQ(lines[3]["text"], "Once upon");
  EXPECT_EQ(Run().code, 1) << "they still have";
}

TEST_F(BatchTest, TheServicesErrorsOfALineAreTheLines) {
  WriteInput(2);
  service_.error = InvalidField("start.options.top_p", "is wrong");
  service_.errors_max = 1;
  EXPECT_EQ(Run({"--concurrency", "1"}).code, 1);
  const std::vector<nlohmann::json> lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0]["error"]["message"].get<std::string>(),
              HasSubstr("top_p is wrong"));
  EXPECT_EQ(lines[1]["text"], "Once upon");
}

TEST_F(BatchTest, OtherErrorsStopItToBeGoneOnWith) {
  WriteInput(10);
  service_.error = UnknownModel("no such model");
  const RunResult result = Run();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("stopped after 0 lines"));
  EXPECT_EQ(Bytes(), "");
  service_.error = absl::OkStatus();
  EXPECT_EQ(Run().code, 0);
  EXPECT_EQ(Lines().size(), 10u);
}

TEST_F(BatchTest, AnEmptyInputHasAnEmptyOutput) {
  WriteInput(0);
  EXPECT_EQ(Run().code, 0);
  EXPECT_EQ(Bytes(), "");
}

TEST_F(BatchTest, FilesAndFlagsThatCanNotBeUsed) {
  EXPECT_EQ(Run().code, 2) << "no input";
  WriteInput(1);
  EXPECT_EQ(Run({"--temperature", "-1"}).code, 2);
  EXPECT_EQ(Run({"--concurrency", "0"}).code, 2);
  EXPECT_EQ(RunTandem({"batch", input_, input_}).code, 2);
}

}  // namespace
}  // namespace tandem::cli
