#include "tools/tandem/up/supervisor.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"

namespace tandem::cli {
namespace {

// The end of a program that closes its output early is seen this late.
constexpr absl::Duration kLookInterval = absl::Milliseconds(200);

// The wait before start number `ends` after the first.
absl::Duration Backoff(const SupervisorOptions& options, int ends) {
  absl::Duration wait = options.backoff_min;
  for (int i = 1; i < ends && wait < options.backoff_max; ++i) wait *= 2;
  return std::min(wait, options.backoff_max);
}

}  // namespace

absl::Status Supervisor::Add(const std::string& name,
                             std::vector<std::string> arguments) {
  TANDEM_CHECK(Find(name) == nullptr);
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> process,
                          ChildProcess::Start(arguments));
  programs_.push_back({.name = name,
                       .arguments = std::move(arguments),
                       .process = std::move(process),
                       .started = MonotonicNow(),
                       .starts_at = absl::InfinitePast()});
  return absl::OkStatus();
}

void Supervisor::MarkReady(const std::string& name) {
  Program* const program = Find(name);
  TANDEM_CHECK(program != nullptr);
  program->is_ready = true;
}

void Supervisor::Remove(const std::string& name) {
  Program* const program = Find(name);
  TANDEM_CHECK(program != nullptr);
  Stop(program, MonotonicNow() + options_.stop_timeout);
  programs_.remove_if([program](const Program& it) { return &it == program; });
}

absl::Status Supervisor::Attend(absl::Duration timeout) {
  absl::Duration wait = std::min(timeout, kLookInterval);
  for (const Program& program : programs_) {
    if (program.process != nullptr) continue;
    wait = std::min(wait, program.starts_at - MonotonicNow());
  }
  WaitForOutput(std::max(wait, absl::ZeroDuration()));
  for (Program& program : programs_) {
    if (program.process == nullptr) {
      if (program.starts_at <= MonotonicNow()) {
        TANDEM_RETURN_IF_ERROR(StartAgain(&program));
      }
      continue;
    }
    const std::optional<ChildEnd> end = program.process->end();
    ReadLines(&program);  // after the end is known: all that was written
    if (end.has_value()) TANDEM_RETURN_IF_ERROR(HandleEnd(&program, *end));
  }
  return absl::OkStatus();
}

std::vector<std::pair<std::string, ProgramState>> Supervisor::States() const {
  std::vector<std::pair<std::string, ProgramState>> states;
  for (const Program& program : programs_) {
    states.emplace_back(program.name,
                        program.process == nullptr ? ProgramState::kWaiting
                        : program.is_ready         ? ProgramState::kRunning
                                                   : ProgramState::kStarting);
  }
  return states;
}

void Supervisor::StopAll() {
  const absl::Time limit = MonotonicNow() + options_.stop_all_timeout;
  while (!programs_.empty()) {
    Stop(&programs_.back(),
         std::min(limit, MonotonicNow() + options_.stop_timeout));
    programs_.pop_back();
  }
}

Supervisor::Program* Supervisor::Find(const std::string& name) {
  for (Program& program : programs_) {
    if (program.name == name) return &program;
  }
  return nullptr;
}

void Supervisor::WaitForOutput(absl::Duration timeout) {
  std::vector<pollfd> outputs;
  for (const Program& program : programs_) {
    if (program.process == nullptr || program.process->output() < 0) continue;
    outputs.push_back(
        {.fd = program.process->output(), .events = POLLIN, .revents = 0});
  }
  // Rounded up: a wait of 0 ms would turn round and round. A signal that ends
  // it early does no harm.
  (void)poll(outputs.data(), outputs.size(),
             static_cast<int>(absl::ToInt64Milliseconds(
                 absl::Ceil(timeout, absl::Milliseconds(1)))));
}

void Supervisor::ReadLines(Program* program) {
  program->process->ReadLines([this, program](absl::string_view line) {
    if (options_.on_line) options_.on_line(program->name, line);
  });
}

absl::Status Supervisor::StartAgain(Program* program) {
  absl::StatusOr<std::unique_ptr<ChildProcess>> process =
      ChildProcess::Start(program->arguments);
  if (!process.ok()) return GiveUp(*program, process.status().message());
  program->process = *std::move(process);
  program->started = MonotonicNow();
  if (options_.on_news) options_.on_news(program->name, "started again");
  return absl::OkStatus();
}

absl::Status Supervisor::HandleEnd(Program* program, const ChildEnd& end) {
  const std::string how = DescribeEnd(end);
  if (!program->is_ready) {
    return GiveUp(*program, absl::StrCat("ended at its start: ", how));
  }
  const bool stayed = MonotonicNow() - program->started >= options_.stays_after;
  program->ends = stayed ? 1 : program->ends + 1;
  program->process.reset();
  if (program->ends >= options_.ends_max) {
    return GiveUp(*program, absl::StrCat("ended ", program->ends,
                                         " times in a row, last with ", how));
  }
  const absl::Duration wait = Backoff(options_, program->ends);
  program->starts_at = MonotonicNow() + wait;
  if (options_.on_news) {
    options_.on_news(program->name,
                     absl::StrCat("ended with ", how, "; starts again in ",
                                  absl::FormatDuration(wait)));
  }
  return absl::OkStatus();
}

absl::Status Supervisor::GiveUp(const Program& program, absl::string_view why) {
  failed_ = program.name;
  return absl::UnavailableError(absl::StrCat("the ", program.name, " ", why));
}

void Supervisor::Stop(Program* program, absl::Time limit) {
  if (program->process == nullptr) return;
  program->process->Signal(SIGTERM);
  while (!program->process->end().has_value() && MonotonicNow() < limit) {
    // All outputs: another one that is full would keep its program waiting.
    WaitForOutput(std::min(kLookInterval / 10, limit - MonotonicNow()));
    for (Program& any : programs_) {
      if (any.process != nullptr) ReadLines(&any);
    }
  }
  if (!program->process->end().has_value() && options_.on_news) {
    options_.on_news(program->name, "did not stop in time and is killed");
  }
  ReadLines(program);
  program->process.reset();
}

}  // namespace tandem::cli
