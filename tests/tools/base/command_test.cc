#include "tools/tandem/base/command.h"

#include <sstream>

#include "CLI/CLI.hpp"
#include "engine/base/status.h"
#include "gtest/gtest.h"
#include "services/common/flag_values.h"

namespace tandem::cli {
namespace {

TEST(CommandTest, ErrorsHaveTheirReasons) {
  EXPECT_EQ(GetErrorDetail(UsageError("no"))->reason, kReasonUsage);
  EXPECT_EQ(UsageError("no").message(), "no");
  EXPECT_EQ(GetErrorDetail(InterruptedError())->reason, kReasonInterrupted);
}

TEST(CommandTest, TenthsAreToldOnce) {
  std::ostringstream err;
  const auto tell = TellTenths("x:", &err);
  for (const double fraction : {0.0, 0.04, 0.1, 0.19, 0.55, 1.0}) {
    tell(fraction);
  }
  EXPECT_EQ(err.str(), "x: 0%\nx: 10%\nx: 50%\nx: 100%\n");
}

struct Flags {
  int number = 3;
};

TEST(CommandTest, TheChosenCommandRunsWithItsFlags) {
  CLI::App app;
  CommandLine line;
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("c");
  CLI::Option* option = AddValue(command, "--number", &flags->number,
                                 WholeNumber(1, 5), "A number");
  EXPECT_EQ(option->get_default_str(), "3");
  RunWhenChosen<Flags>(
      command, flags,
      [](const Flags& parsed, const ConnectionFlags& connection, const Io& io) {
        *io.out << parsed.number << " " << connection.coordinator;
        return absl::OkStatus();
      },
      &line);
  app.parse("c --number 4 --number 5");
  line.connection.coordinator = "there";
  std::ostringstream out;
  EXPECT_TRUE(line.run({.in = nullptr, .out = &out, .err = nullptr}).ok());
  EXPECT_EQ(out.str(), "5 there");
  EXPECT_THROW(app.parse("c --number 6"), CLI::ValidationError);
}

}  // namespace
}  // namespace tandem::cli
