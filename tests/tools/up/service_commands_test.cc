#include "tools/tandem/up/service_commands.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const Programs kPrograms = {
    .worker = "/bin/w", .coordinator = "/bin/c", .gateway = "/bin/g"};

class ServiceCommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = RuntimeFolder::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    folder_ = *std::move(made);
  }

  std::unique_ptr<RuntimeFolder> folder_;
};

std::string Line(const std::vector<std::string>& arguments) {
  return absl::StrJoin(arguments, " ");
}

TEST_F(ServiceCommandsTest, WorkersShareTheTurnAndHaveSocketsOfTheirOwn) {
  const std::string target = Line(
      TargetCommand(kPrograms, *folder_, {.model = "m.gguf", .kv_tokens = 64}));
  EXPECT_THAT(target, StartsWith("/bin/w --role target --model m.gguf "));
  EXPECT_THAT(target, HasSubstr("--listen " + TargetAddress(*folder_)));
  EXPECT_THAT(target, HasSubstr("--compute-turn " + folder_->PathOf("turn")));
  EXPECT_THAT(target, HasSubstr("--kv-tokens 64"));
  const std::string draft =
      Line(DraftCommand(kPrograms, *folder_, {.model = "d.gguf"}));
  EXPECT_THAT(draft, StartsWith("/bin/w --role draft --model d.gguf "));
  EXPECT_THAT(draft, HasSubstr("--listen " + DraftAddress(*folder_)));
  EXPECT_THAT(draft, HasSubstr("--compute-turn " + folder_->PathOf("turn")));
  EXPECT_THAT(
      draft, AllOf(Not(HasSubstr("--kv-tokens")), Not(HasSubstr("--threads"))));
  EXPECT_NE(TargetAddress(*folder_), DraftAddress(*folder_));
}

TEST_F(ServiceCommandsTest, TheCoordinatorKnowsItsWorkers) {
  const std::string alone = Line(
      CoordinatorCommand(kPrograms, *folder_, {.listen = "127.0.0.1:7070"}));
  EXPECT_THAT(alone, StartsWith("/bin/c --listen 127.0.0.1:7070 --target "));
  EXPECT_THAT(alone, HasSubstr("--target " + TargetAddress(*folder_)));
  EXPECT_THAT(alone, Not(HasSubstr("--draft")));
  const std::string pair = Line(
      CoordinatorCommand(kPrograms, *folder_,
                         {.listen = "127.0.0.1:7070", .drafts = Drafts::kOne}));
  EXPECT_THAT(pair, HasSubstr("--draft " + DraftAddress(*folder_)));
}

TEST_F(ServiceCommandsTest, SessionsAreKeptOrEndWithTheRun) {
  EXPECT_THAT(Line(CoordinatorCommand(kPrograms, *folder_, {.listen = "x"})),
              HasSubstr("--state-dir " + folder_->PathOf("sessions") + " "));
  EXPECT_THAT(
      Line(CoordinatorCommand(kPrograms, *folder_,
                              {.listen = "x", .state_dir = "/state/s-7070"})),
      HasSubstr("--state-dir /state/s-7070 "));
}

TEST_F(ServiceCommandsTest, TheGatewayKnowsTheCoordinator) {
  EXPECT_EQ(Line(GatewayCommand(kPrograms, "127.0.0.1:8080", "127.0.0.1:7070")),
            "/bin/g --listen 127.0.0.1:8080 --coordinator 127.0.0.1:7070 "
            "--drain-timeout-ms 2000");
}

TEST_F(ServiceCommandsTest, ProgramsStandBesideThisOne) {
  const std::string self = folder_->PathOf("tandem");
  const auto make = [this](const char* name) {
    const std::string path = folder_->PathOf(name);
    std::ofstream(path) << "x";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  };
  const std::string worker = make("tandem-worker");
  absl::StatusOr<Programs> found = FindPrograms(self);
  EXPECT_EQ(found.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(found.status().message()),
              StartsWith("tandem-coordinator is not in "));
  const std::string coordinator = make("tandem-coordinator");
  found = FindPrograms(self);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->worker, worker);
  EXPECT_EQ(found->coordinator, coordinator);
  EXPECT_EQ(found->gateway, "");
  const std::string gateway = make("tandem-gateway");
  EXPECT_EQ(FindPrograms(self)->gateway, gateway);
}

}  // namespace
}  // namespace tandem::cli
