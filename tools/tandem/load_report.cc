#include "tools/tandem/load_report.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tandem::cli {
namespace {

using load::Histogram;
using load::LoadFigures;
using load::SweepRow;

Json HistogramJson(const Histogram& times) {
  return {{"p50", times.Percentile(50)}, {"p90", times.Percentile(90)},
          {"p99", times.Percentile(99)}, {"max", times.max()},
          {"mean", times.mean()},        {"count", times.count()}};
}

Json SpeculationJson(const LoadFigures& figures) {
  const load::TurnFigures& told = figures.told;
  Json json = {{"drafted_tokens", told.drafted_tokens},
               {"accepted_tokens", told.accepted_tokens},
               {"acceptance_rate", figures.acceptance_rate()}};
  if (told.rounds.has_value()) {
    json["rounds"] = *told.rounds;
    json["tokens_per_round"] = figures.tokens_per_round();
    json["mean_draft_length"] = figures.mean_draft_length();
    json["draft_us"] = told.draft_us;
    json["verify_us"] = told.verify_us;
    json["rpc_us"] = told.rpc_us;
    json["wait_us"] = told.wait_us;
    json["late_drafts"] = told.late_drafts;
  }
  return json;
}

double Milliseconds(double us) { return us / 1000; }

std::string TimesLine(absl::string_view name, const Histogram& times) {
  if (times.count() == 0) return "";
  const auto ms = [&times](double percent) {
    return Milliseconds(static_cast<double>(times.Percentile(percent)));
  };
  return absl::StrFormat("%-22s %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, ms(50),
                         ms(90), ms(99),
                         Milliseconds(static_cast<double>(times.max())),
                         Milliseconds(times.mean()));
}

std::string LatencyText(const LoadFigures& figures) {
  return absl::StrCat(
      absl::StrFormat("%-22s %9s %9s %9s %9s %9s\n", "ms", "p50", "p90", "p99",
                      "max", "mean"),
      TimesLine("first token", figures.first_token_us),
      TimesLine("between events", figures.event_gap_us),
      TimesLine("per token", figures.token_gap_us),
      TimesLine("whole turn", figures.turn_us),
      TimesLine("RPC per round", figures.round_rpc_us),
      TimesLine("transport per round", figures.round_transport_us));
}

std::string SpeculationText(const LoadFigures& figures) {
  const load::TurnFigures& told = figures.told;
  std::string text;
  if (told.drafted_tokens > 0) {
    absl::StrAppendFormat(&text, "drafts: %d of %d accepted (%.1f%%)\n",
                          told.accepted_tokens, told.drafted_tokens,
                          100 * figures.acceptance_rate());
  }
  if (told.rounds.value_or(0) > 0) {
    const double rounds_ms = 1000.0 * static_cast<double>(*told.rounds);
    absl::StrAppendFormat(
        &text,
        "rounds: %d, %.2f tokens and %.2f drafts in each; draft %.2f ms, "
        "verify %.2f ms, transport %.2f ms, waiting in workers %.2f ms; %d "
        "late drafts\n",
        *told.rounds, figures.tokens_per_round(), figures.mean_draft_length(),
        static_cast<double>(told.draft_us) / rounds_ms,
        static_cast<double>(told.verify_us) / rounds_ms,
        static_cast<double>(told.rpc_us - told.wait_us) / rounds_ms,
        static_cast<double>(told.wait_us) / rounds_ms, told.late_drafts);
  }
  if (told.cached_tokens.has_value()) {
    absl::StrAppend(&text, "prompt tokens from the server's cache: ",
                    *told.cached_tokens, "\n");
  }
  if (told.queue_us.has_value() && figures.told_turns > 0) {
    absl::StrAppendFormat(&text, "queued in the server: %.2f ms a turn\n",
                          Milliseconds(static_cast<double>(*told.queue_us)) /
                              static_cast<double>(figures.told_turns));
  }
  return text;
}

std::string CountsText(absl::string_view name,
                       const std::map<std::string, int64_t>& counts) {
  if (counts.empty()) return "";
  std::string text = absl::StrCat(name, ":");
  for (const auto& [what, times] : counts) {
    absl::StrAppend(&text, " ", times, " ", what, ",");
  }
  text.back() = '\n';
  return text;
}

Json LengthJson(const load::DraftLength& length) {
  return length.has_value() ? Json(*length) : Json("auto");
}

std::string RatioText(const std::optional<double>& ratio) {
  return ratio.has_value() ? absl::StrFormat("%.3f", *ratio) : "-";
}

Json RatioJson(const std::optional<double>& ratio) {
  return ratio.has_value() ? Json(*ratio) : Json();
}

}  // namespace

Json LoadJson(const LoadFigures& figures) {
  Json json = {
      {"seconds", figures.seconds},
      {"turns",
       {{"ended", figures.turns_ended},
        {"cut", figures.turns_cut},
        {"failed", figures.turns_failed},
        {"skipped", figures.arrivals_skipped}}},
      {"throughput",
       {{"prompt_tokens", figures.prompt_tokens},
        {"generated_tokens", figures.generated_tokens},
        {"prompt_tokens_per_second", figures.prompt_per_second()},
        {"generated_tokens_per_second", figures.generated_per_second()}}},
      {"latency_us",
       {{"first_token", HistogramJson(figures.first_token_us)},
        {"between_events", HistogramJson(figures.event_gap_us)},
        {"per_token", HistogramJson(figures.token_gap_us)},
        {"turn", HistogramJson(figures.turn_us)},
        {"rpc_per_round", HistogramJson(figures.round_rpc_us)},
        {"transport_per_round", HistogramJson(figures.round_transport_us)}}},
      {"speculation", SpeculationJson(figures)},
      {"finish_reasons", figures.finish_reasons},
      {"errors", figures.errors}};
  if (figures.told.cached_tokens.has_value()) {
    json["cached_tokens"] = *figures.told.cached_tokens;
  }
  if (figures.told.queue_us.has_value()) {
    json["queue_us"] = *figures.told.queue_us;
  }
  return json;
}

std::string LoadText(const LoadFigures& figures) {
  std::string text = absl::StrFormat(
      "%.1f s: %d turns ended, %d cut by the end, %d failed", figures.seconds,
      figures.turns_ended, figures.turns_cut, figures.turns_failed);
  if (figures.arrivals_skipped > 0) {
    absl::StrAppend(&text, ", ", figures.arrivals_skipped,
                    " arrivals skipped (--sessions-max)");
  }
  absl::StrAppendFormat(&text, "\ntokens/s: %.1f generated, %.1f of prompts\n",
                        figures.generated_per_second(),
                        figures.prompt_per_second());
  absl::StrAppend(&text, LatencyText(figures), SpeculationText(figures),
                  CountsText("ends", figures.finish_reasons),
                  CountsText("errors", figures.errors));
  return text;
}

Json SweepJson(absl::Span<const SweepRow> rows) {
  Json json = Json::array();
  for (const SweepRow& row : rows) {
    Json entry = {{"draft_length", LengthJson(row.draft_length)},
                  {"ratio_to_plain", RatioJson(row.ratio_to_plain)},
                  {"ratio_to_best_fixed", RatioJson(row.ratio_to_best_fixed)}};
    entry.update(LoadJson(row.figures));
    json.push_back(std::move(entry));
  }
  return json;
}

std::string SweepText(absl::Span<const SweepRow> rows) {
  std::string text = absl::StrFormat(
      "%6s %9s %8s %8s %8s %8s %10s %12s %7s\n", "drafts", "tokens/s", "to 0",
      "to best", "accepted", "a round", "first, ms", "events, ms", "failed");
  for (const SweepRow& row : rows) {
    const LoadFigures& figures = row.figures;
    absl::StrAppendFormat(
        &text, "%6s %9.1f %8s %8s %7.1f%% %8.2f %10.2f %12.2f %7d\n",
        row.draft_length.has_value() ? absl::StrCat(*row.draft_length) : "auto",
        figures.generated_per_second(), RatioText(row.ratio_to_plain),
        RatioText(row.ratio_to_best_fixed), 100 * figures.acceptance_rate(),
        figures.tokens_per_round(),
        Milliseconds(
            static_cast<double>(figures.first_token_us.Percentile(50))),
        Milliseconds(static_cast<double>(figures.event_gap_us.Percentile(50))),
        figures.turns_failed);
  }
  return text;
}

std::string ProgressText(const load::LoadProgress& progress) {
  const LoadFigures& figures = progress.figures;
  return absl::StrFormat(
      "%.0f s: %d turns running, %d ended, %d failed; %.1f tokens/s, p99 "
      "between events %.1f ms",
      progress.seconds, progress.turns_running, figures.turns_ended,
      figures.turns_failed, figures.generated_per_second(),
      Milliseconds(static_cast<double>(figures.event_gap_us.Percentile(99))));
}

Json ProgressJson(const load::LoadProgress& progress) {
  const LoadFigures& figures = progress.figures;
  return {{"seconds", progress.seconds},
          {"turns_running", progress.turns_running},
          {"turns_ended", figures.turns_ended},
          {"turns_failed", figures.turns_failed},
          {"generated_tokens_per_second", figures.generated_per_second()},
          {"between_events_p99_us", figures.event_gap_us.Percentile(99)}};
}

}  // namespace tandem::cli
