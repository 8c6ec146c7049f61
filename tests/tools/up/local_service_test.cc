#include "tools/tandem/up/local_service.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(ParseProgressTest, ReadsALineOfTheWorkersLog) {
  const auto progress = ParseProgress(
      "2026-01-02T03:04:05.678Z info loading model tales: b: 40%");
  ASSERT_TRUE(progress.has_value());
  EXPECT_EQ(progress->model, "tales: b");
  EXPECT_DOUBLE_EQ(progress->part, 0.4);
}

TEST(ParseProgressTest, OtherLinesAreNone) {
  for (const char* line :
       {"", "x info loading model ", "x info loading model a", "a: 40%",
        "x info loading model a: b%", "x info loading model a: 40"}) {
    EXPECT_FALSE(ParseProgress(line).has_value()) << line;
  }
}

// With a worker that is a script.
class LocalServiceTest : public ::testing::Test {
 protected:
  LocalServiceTest() { std::filesystem::create_directory(folder_); }
  ~LocalServiceTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<std::unique_ptr<LocalService>> Make(const std::string& script,
                                                     bool interrupted = false) {
    const std::string worker = folder_ + "/worker";
    std::ofstream(worker) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(worker, std::filesystem::perms::owner_all);
    LocalServiceOptions options;
    options.programs.worker = worker;
    options.target.model = "m.gguf";
    options.log_path = folder_ + "/up.log";
    options.state_dir = state_dir_;
    options.is_interrupted = [interrupted] { return interrupted; };
    return LocalService::Make(std::move(options), io_);
  }

  const std::string folder_ =
      absl::StrCat(::testing::TempDir(), "local_service_", getpid());
  std::string state_dir_;
  std::ostringstream err_;
  const Io io_ = {.err = &err_};
};

TEST_F(LocalServiceTest, AWorkerThatDoesNotStartIsNamedWithItsLines) {
  const auto service = Make("echo 'tandem-worker: no memory' >&2; exit 2");
  ASSERT_TRUE(service.ok()) << service.status();
  const absl::Status status = (*service)->Start();
  EXPECT_EQ(status.message(),
            "the target worker ended at its start: exit code 2");
  EXPECT_EQ((*service)->NewestLines(),
            "target worker: tandem-worker: no memory");
  (*service)->Stop();
  std::ostringstream log;
  log << std::ifstream((*service)->log_path()).rdbuf();
  EXPECT_EQ(log.str(), "target worker: tandem-worker: no memory\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(LocalServiceTest, AnInterruptEndsTheStart) {
  const auto service = Make("while true; do sleep 0.05; done",
                            /*interrupted=*/true);
  ASSERT_TRUE(service.ok()) << service.status();
  const std::optional<ErrorDetail> detail = GetErrorDetail((*service)->Start());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, kReasonInterrupted);
  EXPECT_EQ((*service)->NewestLines(), "");
}

TEST_F(LocalServiceTest, ALogThatCanNotBeWrittenNamesTheFlag) {
  std::filesystem::create_directory(folder_ + "/up.log");
  const auto service = Make("exit 0");
  EXPECT_THAT(std::string(service.status().message()),
              HasSubstr("--log-file: "));
  EXPECT_THAT(std::string(service.status().message()),
              EndsWith("name a regular file"));
}

TEST_F(LocalServiceTest, MakesTheFolderOfTheSessions) {
  state_dir_ = folder_ + "/state/sessions";
  ASSERT_TRUE(Make("exit 0").ok());
  EXPECT_TRUE(std::filesystem::is_directory(state_dir_));
  std::ofstream(folder_ + "/file") << "x";
  state_dir_ = folder_ + "/file/sessions";
  EXPECT_THAT(std::string(Make("exit 0").status().message()),
              HasSubstr("/file/sessions: the folder of sessions can not be "
                        "made: "));
}

TEST_F(LocalServiceTest, NewsAreForPeople) {
  const auto service = Make("exit 0");
  ASSERT_TRUE(service.ok()) << service.status();
  (*service)->Say("a line");
  EXPECT_EQ(err_.str(), "tandem: a line\n");
}

}  // namespace
}  // namespace tandem::cli
