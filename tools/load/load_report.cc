#include "tools/load/load_report.h"

#include <utility>

namespace tandem::load {
namespace {

using cli::Json;

Json TimesJson(const Samples& times) {
  return {{"p50", times.Percentile(50)}, {"p90", times.Percentile(90)},
          {"p99", times.Percentile(99)}, {"max", times.max()},
          {"mean", times.mean()},        {"count", times.count()}};
}

Json SpeculationJson(const LoadFigures& figures) {
  const v1::SpeculationStats& stats = figures.speculation;
  if (stats.rounds() == 0) {
    return {{"drafted_tokens", stats.drafted_tokens()},
            {"accepted_tokens", stats.accepted_tokens()},
            {"acceptance_rate", cli::AcceptanceRate(stats)}};
  }
  Json json = cli::SpeculationJson(stats);
  const auto rounds = static_cast<double>(stats.rounds());
  json["tokens_per_round"] =
      static_cast<double>(figures.usage.generated_tokens()) / rounds;
  json["mean_draft_length"] =
      static_cast<double>(stats.drafted_tokens()) / rounds;
  json["accepted_per_round"] =
      static_cast<double>(stats.accepted_tokens()) / rounds;
  return json;
}

template <typename T>
Json ValueOr(const std::optional<T>& value, Json other) {
  return value.has_value() ? Json(*value) : other;
}

}  // namespace

Json LoadJson(const LoadFigures& figures) {
  const double prompt_rate =
      cli::Ratio(static_cast<double>(figures.prompt_tokens), figures.seconds);
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
        {"prompt_tokens_per_second", prompt_rate},
        {"generated_tokens_per_second", figures.generated_per_second()}}},
      {"latency_us",
       {{"first_token", TimesJson(figures.first_token_us)},
        {"between_events", TimesJson(figures.event_gap_us)},
        {"per_token", TimesJson(figures.token_gap_us)},
        {"turn", TimesJson(figures.turn_us)},
        {"rpc_per_round", TimesJson(figures.round_rpc_us)},
        {"transport_per_round", TimesJson(figures.round_transport_us)}}},
      {"speculation", SpeculationJson(figures)},
      {"finish_reasons", figures.finish_reasons},
      {"errors", figures.errors}};
  const bool is_tandem = figures.speculation.rounds() > 0;
  const int64_t cached_tokens = figures.usage.cached_prompt_tokens();
  if (is_tandem || cached_tokens > 0) json["cached_tokens"] = cached_tokens;
  if (is_tandem) json["queue_us"] = figures.speculation.queue_us();
  return json;
}

Json SweepJson(absl::Span<const SweepRow> rows) {
  Json json = Json::array();
  for (const SweepRow& row : rows) {
    Json entry = {{"draft_length", ValueOr(row.draft_length, "auto")},
                  {"with_format", row.with_format},
                  {"ratio_to_plain", ValueOr(row.ratio_to_plain, {})},
                  {"ratio_to_best_fixed", ValueOr(row.ratio_to_best_fixed, {})},
                  {"ratio_to_free", ValueOr(row.ratio_to_free, {})},
                  {"tokens_per_second_by_round", row.rates}};
    entry.update(LoadJson(row.figures));
    json.push_back(std::move(entry));
  }
  return json;
}

Json SweepSummary(const Json& sweep) {
  Json rows = Json::array();
  bool has_format = false;
  for (const Json& row : sweep) has_format |= row["with_format"].get<bool>();
  for (const Json& row : sweep) {
    const Json& latency = row["latency_us"];
    const Json& speculation = row["speculation"];
    rows.push_back(
        {{"drafts", row["draft_length"]},
         {"tokens/s", row["throughput"]["generated_tokens_per_second"]},
         {"to 0", row["ratio_to_plain"]},
         {"to best", row["ratio_to_best_fixed"]},
         {"accepted", speculation["acceptance_rate"]},
         {"a round", speculation.value("tokens_per_round", Json())},
         {"first, us", latency["first_token"]["p50"]},
         {"events, us", latency["between_events"]["p50"]},
         {"failed", row["turns"]["failed"]}});
    if (!has_format) continue;
    rows.back()["format"] = row["with_format"].get<bool>() ? "yes" : "no";
    rows.back()["to free"] = row["ratio_to_free"];
  }
  return rows;
}

Json ProgressJson(const LoadProgress& progress) {
  const LoadFigures& figures = progress.figures;
  return {{"seconds", progress.seconds},
          {"turns_running", progress.turns_running},
          {"turns_ended", figures.turns_ended},
          {"turns_failed", figures.turns_failed},
          {"generated_tokens_per_second", figures.generated_per_second()},
          {"between_events_p99_us", figures.event_gap_us.Percentile(99)}};
}

}  // namespace tandem::load
