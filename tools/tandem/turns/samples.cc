#include "tools/tandem/turns/samples.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/client/joined_reply.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/reply_printer.h"
#include "tools/tandem/turns/parallel_turns.h"

namespace tandem::cli {
namespace {

// As head and tail name files.
std::string Heading(int choice) {
  return absl::StrCat(choice == 0 ? "" : "\n", "==> sample ", choice, " <==\n");
}

// Choice `choice` of a turn whose choice 0 has begun so: with its seed and its
// day.
v1::TurnRequest ChoiceOf(const v1::TurnRequest& turn, int choice,
                         const v1::TurnStarted& first) {
  v1::TurnRequest other = turn;
  other.mutable_options()->set_choice(choice);
  other.mutable_options()->set_seed(first.seed());
  if (!first.template_date().empty()) {
    (*other.mutable_template_options())["date"].set_text_value(
        first.template_date());
  }
  return other;
}

// What follows the text of the record, which a script reads as text or JSON.
absl::Status PrintSample(const TurnFlags& flags, int choice,
                         const TurnRecord& record, const Io& io) {
  if (flags.stats) *io.err << Heading(choice);
  if (!flags.json) return PrintTurn(flags, record, io);
  Json json = {{"choice", choice}};
  json.update(TurnJson(record));
  PrintJson(json, io.out);
  if (flags.stats) *io.err << TurnStats(record);
  return absl::OkStatus();
}

// Choice 0, which is printed as it comes; the others are added when it has its
// first token.
absl::StatusOr<TurnRecord> RunFirst(const SamplesSetup& setup,
                                    ParallelTurns* others, const Io& io) {
  TurnRecord record;
  record.is_chat = setup.turn.has_messages();
  const auto add_others = [&setup, &record, others] {
    for (int choice = 1; choice < setup.count; ++choice) {
      others->Add(ChoiceOf(setup.turn, choice, record.started));
    }
  };
  const bool prints = !setup.flags.json;
  ReplyPrinter printer(io, ReplyPrinter::ColourFor(io));
  TANDEM_ASSIGN_OR_RETURN(
      const v1::TurnEnded ended,
      setup.client->RunTurn(setup.turn,
                            {.on_started =
                                 [&](const v1::TurnStarted& started) {
                                   record.started = started;
                                   if (prints) *io.out << Heading(0);
                                 },
                             .on_tokens =
                                 [&](const v1::TokensGenerated& tokens) {
                                   if (record.tokens.token_ids().empty())
                                     add_others();
                                   Append(tokens, &record);
                                   if (prints) {
                                     printer.Print(client::PartsOf(tokens));
                                   }
                                 }}));
  End(ended, &record);
  if (prints) printer.Print(client::PartsOf(ended));
  return record;
}

}  // namespace

absl::Status CheckSamples(const TurnFlags& flags, const v1::TurnRequest& turn) {
  const char* single = nullptr;
  if (!turn.session_id().empty()) single = "--session";
  if (turn.options().has_choice()) single = "--choice-index";
  if (flags.echo) single = "--echo";
  if (!flags.receipt_file.empty()) single = "--receipt";
  if (single == nullptr) return absl::OkStatus();
  return UsageError(absl::StrCat(
      "--samples does not go with ", single,
      ", which is of a single turn; --choice-index gives one of the samples"));
}

absl::StatusOr<TurnRecord> RunSamples(const SamplesSetup& setup, const Io& io) {
  ParallelTurns others(setup.client, setup.count - 1);
  setup.interrupt->SetUnderWay([&setup, &others] {
    setup.client->CancelTurn();
    others.Cancel();
  });
  absl::StatusOr<TurnRecord> first = RunFirst(setup, &others, io);
  absl::Status status = first.status();
  if (first.ok()) status = PrintSample(setup.flags, 0, *first, io);
  for (int choice = 1; status.ok() && others.size() > 0; ++choice) {
    const absl::StatusOr<TurnRecord> other = others.Take();
    if (!other.ok()) {
      status = setup.client->Explain(other.status(),
                                     {.model_id = setup.turn.model_id()});
      break;
    }
    if (!setup.flags.json) {
      *io.out << Heading(choice);
      ReplyPrinter(io, ReplyPrinter::ColourFor(io))
          .Print(client::PartsOf(other->tokens));
    }
    status = PrintSample(setup.flags, choice, *other, io);
  }
  setup.interrupt->SetUnderWay(nullptr);
  if (!status.ok()) return status;
  return first;
}

}  // namespace tandem::cli
