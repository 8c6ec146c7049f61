#include "tools/load/load_figures.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace tandem::load {
namespace {

double Ratio(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

void Count(const std::string& name, int64_t times,
           std::map<std::string, int64_t>* counts) {
  const bool is_new = counts->find(name) == counts->end();
  const bool is_full = counts->size() >= kNamesMax;
  (*counts)[is_new && is_full ? "other" : name] += times;
}

// "UNAVAILABLE NO_WORKER"
std::string ErrorName(const absl::Status& status) {
  const std::string code = absl::StatusCodeToString(status.code());
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail || detail->reason == code) return code;
  return absl::StrCat(code, " ", detail->reason);
}

void AddOptional(const std::optional<int64_t>& more,
                 std::optional<int64_t>* sum) {
  if (more.has_value()) *sum = sum->value_or(0) + *more;
}

void AddFigures(const TurnFigures& more, TurnFigures* sum) {
  sum->generated_tokens += more.generated_tokens;
  AddOptional(more.rounds, &sum->rounds);
  sum->drafted_tokens += more.drafted_tokens;
  sum->accepted_tokens += more.accepted_tokens;
  sum->draft_us += more.draft_us;
  sum->verify_us += more.verify_us;
  sum->rpc_us += more.rpc_us;
  sum->wait_us += more.wait_us;
  sum->late_drafts += more.late_drafts;
  AddOptional(more.cached_tokens, &sum->cached_tokens);
  AddOptional(more.queue_us, &sum->queue_us);
}

}  // namespace

void LoadFigures::AddEnd(const TurnOutcome& outcome) {
  if (!outcome.status.ok()) {
    ++turns_failed;
    Count(ErrorName(outcome.status), 1, &errors);
    return;
  }
  Count(outcome.finish_reason, 1, &finish_reasons);
  ++told_turns;
  const TurnFigures& figures = outcome.figures;
  AddFigures(figures, &told);
  if (figures.rounds.value_or(0) > 0) {
    round_rpc_us.Add(figures.rpc_us / *figures.rounds);
    round_transport_us.Add((figures.rpc_us - figures.wait_us) /
                           *figures.rounds);
  }
}

void LoadFigures::Merge(const LoadFigures& other) {
  seconds += other.seconds;
  first_token_us.Merge(other.first_token_us);
  event_gap_us.Merge(other.event_gap_us);
  token_gap_us.Merge(other.token_gap_us);
  turn_us.Merge(other.turn_us);
  round_rpc_us.Merge(other.round_rpc_us);
  round_transport_us.Merge(other.round_transport_us);
  turns_ended += other.turns_ended;
  turns_cut += other.turns_cut;
  turns_failed += other.turns_failed;
  arrivals_skipped += other.arrivals_skipped;
  prompt_tokens += other.prompt_tokens;
  generated_tokens += other.generated_tokens;
  events += other.events;
  for (const auto& [name, times] : other.finish_reasons) {
    Count(name, times, &finish_reasons);
  }
  for (const auto& [name, times] : other.errors) Count(name, times, &errors);
  told_turns += other.told_turns;
  AddFigures(other.told, &told);
}

double LoadFigures::generated_per_second() const {
  return Ratio(static_cast<double>(generated_tokens), seconds);
}

double LoadFigures::prompt_per_second() const {
  return Ratio(static_cast<double>(prompt_tokens), seconds);
}

double LoadFigures::acceptance_rate() const {
  return Ratio(static_cast<double>(told.accepted_tokens),
               static_cast<double>(told.drafted_tokens));
}

double LoadFigures::tokens_per_round() const {
  return Ratio(static_cast<double>(told.generated_tokens),
               static_cast<double>(told.rounds.value_or(0)));
}

double LoadFigures::mean_draft_length() const {
  return Ratio(static_cast<double>(told.drafted_tokens),
               static_cast<double>(told.rounds.value_or(0)));
}

}  // namespace tandem::load
