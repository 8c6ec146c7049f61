#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "absl/strings/str_split.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(StatusTest, LinesAndJson) {
  FakeService service;
  service.status.set_version("9.9");
  service.status.set_turns(4);
  v1::WorkerStatus& worker = *service.status.add_workers();
  worker.set_address("unix:/tmp/w");
  worker.set_role(v1::POOL_ROLE_TARGET);
  worker.set_state(v1::WORKER_STATE_DRAINING);
  worker.set_reason("the worker reports that it drains");
  for (const char* command : {"status", "status --once"}) {
    std::vector<std::string> arguments = absl::StrSplit(command, ' ');
    arguments.insert(arguments.end(), {"--coordinator", service.address()});
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, StartsWith("tandem 9.9, up 0 s\n4 turns running"));
    EXPECT_THAT(result.out,
                HasSubstr("target worker unix:/tmp/w is draining: the worker "
                          "reports that it drains\n"));
    EXPECT_THAT(result.out, HasSubstr("no draft worker\n"));
  }
  const RunResult result =
      RunTandem({"status", "--json", "--coordinator", service.address()});
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["version"], "9.9");
  EXPECT_EQ(json["workers"][0]["state"], "draining");
}

TEST(StatusTest, SaysWhatHelps) {
  RunResult result =
      RunTandem({"status", "--coordinator", "unix:/nonexistent"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach the coordinator"));
  FakeService service;
  service.error = MakeError(absl::StatusCode::kPermissionDenied,
                            {.reason = kReasonMissingScope}, "no scope");
  result = RunTandem({"status", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("no scope; --key-file names"));
  service.error = absl::UnimplementedError("no such method");
  result = RunTandem({"status", "--coordinator", service.address()});
  EXPECT_THAT(result.err, HasSubstr("does not report its status"));
}

// What the command does on a terminal that is standard error, with a Ctrl-C
// after the second screen.
void WatchUntilCtrlC() {
  setenv("TERM", "xterm", 1);
  sigset_t signals;  // before any thread, so that the command gets it
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  FakeService service;
  service.status.set_version("9.9");
  const std::string address = service.address();
  std::thread interrupts([] {
    usleep(1500000);
    kill(getpid(), SIGINT);
  });
  const char* argv[] = {"tandem", "status", "--coordinator", address.c_str()};
  RunCommandLine(4, argv,
                 {.in = &std::cin,
                  .out = &std::cerr,
                  .err = &std::cerr,
                  .out_is_terminal = true});
  _exit(3);  // it ends the process itself
}

// In a process of its own: signals are the process's.
TEST(StatusDeathTest, RenewsATerminalUntilCtrlC) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(WatchUntilCtrlC(), ::testing::ExitedWithCode(0),
              "up 0 s.*now: 0.0 tokens/s");
}

}  // namespace
}  // namespace tandem::cli
