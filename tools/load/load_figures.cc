#include "tools/load/load_figures.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "google/protobuf/message.h"
#include "tools/tandem/base/output.h"

namespace tandem::load {
namespace {

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

// Adds every whole number of `more` to that of `sum`, lists by their positions.
void AddCounts(const google::protobuf::Message& more,
               google::protobuf::Message* sum) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& fields = *sum->GetReflection();
  for (int i = 0; i < sum->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* const field = sum->GetDescriptor()->field(i);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_INT64) continue;
    if (!field->is_repeated()) {
      fields.SetInt64(
          sum, field,
          fields.GetInt64(*sum, field) + fields.GetInt64(more, field));
      continue;
    }
    for (int j = 0; j < fields.FieldSize(more, field); ++j) {
      if (j == fields.FieldSize(*sum, field)) fields.AddInt64(sum, field, 0);
      fields.SetRepeatedInt64(sum, field, j,
                              fields.GetRepeatedInt64(*sum, field, j) +
                                  fields.GetRepeatedInt64(more, field, j));
    }
  }
}

}  // namespace

void LoadFigures::AddTokens(int64_t tokens, int64_t gap_us, bool is_first) {
  generated_tokens += tokens;
  if (is_first) {
    first_token_us.Add(gap_us);
    return;
  }
  event_gap_us.Add(gap_us);
  token_gap_us.Add(gap_us / tokens, tokens);
}

void LoadFigures::AddEnd(const TurnOutcome& outcome) {
  if (!outcome.status.ok()) {
    ++turns_failed;
    Count(ErrorName(outcome.status), 1, &errors);
    return;
  }
  Count(outcome.finish_reason, 1, &finish_reasons);
  AddCounts(outcome.usage, &usage);
  AddCounts(outcome.speculation, &speculation);
  if (const int64_t rounds = outcome.speculation.rounds(); rounds > 0) {
    const int64_t rpc_us = outcome.speculation.rpc_us();
    round_rpc_us.Add(rpc_us / rounds);
    round_transport_us.Add((rpc_us - outcome.speculation.wait_us()) / rounds);
  }
}

void LoadFigures::Merge(const LoadFigures& other) {
  seconds += other.seconds;
  for (Samples LoadFigures::*times :
       {&LoadFigures::first_token_us, &LoadFigures::event_gap_us,
        &LoadFigures::token_gap_us, &LoadFigures::turn_us,
        &LoadFigures::round_rpc_us, &LoadFigures::round_transport_us}) {
    (this->*times).Merge(other.*times);
  }
  for (int64_t LoadFigures::*count :
       {&LoadFigures::turns_ended, &LoadFigures::turns_cut,
        &LoadFigures::turns_failed, &LoadFigures::arrivals_skipped,
        &LoadFigures::prompt_tokens, &LoadFigures::generated_tokens}) {
    this->*count += other.*count;
  }
  for (const auto& [name, times] : other.finish_reasons) {
    Count(name, times, &finish_reasons);
  }
  for (const auto& [name, times] : other.errors) Count(name, times, &errors);
  AddCounts(other.usage, &usage);
  AddCounts(other.speculation, &speculation);
}

double LoadFigures::generated_per_second() const {
  return cli::Ratio(static_cast<double>(generated_tokens), seconds);
}

}  // namespace tandem::load
