// Several replies to one prompt under one seed, as `generate --samples` prints
// them: choice 0 as it comes, the others in their order. They begin when choice
// 0 has its first token, so that the prompt's KV is there for all.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_SAMPLES_H_
#define TANDEM_TOOLS_TANDEM_TURNS_SAMPLES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/turn_flags.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

// A usage error where they ask for what only a single turn can have: a session,
// a choice, the prompt's echo, a receipt file.
absl::Status CheckSamples(const TurnFlags& flags, const v1::TurnRequest& turn);

struct SamplesSetup {
  const TurnFlags& flags;
  const v1::TurnRequest& turn;
  int count = 0;
  Client* client = nullptr;
  Interrupt* interrupt = nullptr;
};

// Runs choices 0 .. count - 1 of the turn and prints them. The record of choice
// 0, which has the session; or the first error, after all were printed that
// came before it.
absl::StatusOr<TurnRecord> RunSamples(const SamplesSetup& setup, const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_SAMPLES_H_
