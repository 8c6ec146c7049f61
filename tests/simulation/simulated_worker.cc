#include "tests/simulation/simulated_worker.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

constexpr int kPassRowsMax = 256;
constexpr int kPrefillRowsBesideDecode = 64;
constexpr std::chrono::milliseconds kReportEvery(100);
// Weight of the newest pass in the average of sequences.
constexpr double kNewestWeight = 0.1;

MonotonicDuration Micros(double us) {
  return std::chrono::microseconds(static_cast<int64_t>(us) + 1);
}

CostCurve CurveOf(const SimulatedWorkerOptions& options, double factor) {
  std::vector<StepCost> costs;
  for (const int rows : {1, 2, 4, 8, 16, 32, 64, 128, 256}) {
    costs.push_back({.rows = rows,
                     .us = (options.base_us + rows * options.row_us) * factor});
  }
  return CostCurve(costs);
}

absl::Status Unavailable(absl::string_view reason, absl::string_view what) {
  return MakeError(absl::StatusCode::kUnavailable,
                   {.reason = std::string(reason), .violations = {}}, what);
}

}  // namespace

SimulatedWorker::SimulatedWorker(SimulatedNetwork* network,
                                 const SimulatedWorkerOptions& options)
    : network_(network), options_(options), passes_(CurveOf(options, 1)) {}

void SimulatedWorker::SlowDown(double factor) {
  slowness_ = factor;
  passes_ = CurveOf(options_, factor);
}

void SimulatedWorker::Start() {
  TANDEM_CHECK(!alive_ && sequences_.empty());
  alive_ = true;
  draining_ = false;
  computing_ = false;
  report_due_ = false;
  kv_pages_used_ = 0;
  cache_ = std::make_unique<PrefixMap>(static_cast<size_t>(
      options_.kv_pages * options_.kv_page_tokens / kPrefixBlockTokens));
  network_->Log("start", {options_.id});
}

PrefixKey SimulatedWorker::CacheKey(const std::vector<TokenId>& tokens) const {
  return {.tenant = "", .fingerprint = "", .tokens = tokens};
}

uint64_t SimulatedWorker::Open(const OpenRequest& request,
                               std::shared_ptr<SequenceEvents> events) {
  const int64_t pages = (request.tokens_max + options_.kv_page_tokens - 1) /
                        options_.kv_page_tokens;
  if (!alive_ || draining_) {
    events->OnClosed(Unavailable(kReasonDraining, "the worker goes"));
    return 0;
  }
  if (kv_pages_used_ + pages > options_.kv_pages) {
    network_->Log("full", {options_.id});
    events->OnClosed(MakeError(absl::StatusCode::kResourceExhausted,
                               {.reason = kReasonExhausted, .violations = {}},
                               "no KV"));
    return 0;
  }
  const uint64_t number = ++last_number_;
  Sequence& sequence = sequences_[number];
  sequence.events = std::move(events);
  sequence.tokens = FakeSequence(request.tokens);
  sequence.pages = pages;
  sequence.prefill_left = static_cast<int64_t>(request.tokens.size()) - 1;
  const std::vector<PrefixHolder> cached =
      cache_->Find(CacheKey(request.tokens));
  if (!cached.empty()) {
    sequence.prefill_left =
        std::max<int64_t>(0, sequence.prefill_left - cached[0].tokens);
  }
  kv_pages_used_ += pages;
  network_->Log("open", {options_.id, static_cast<int64_t>(number)});
  sequence.events->OnOpened();
  if (HasWork(sequence)) working_.insert(number);
  Changed();
  BeginPass();
  return number;
}

bool SimulatedWorker::HasWork(const Sequence& sequence) {
  return sequence.prefill_left > 0 || sequence.propose.has_value() ||
         sequence.verify.has_value();
}

void SimulatedWorker::Request(uint64_t number,
                              const std::function<void(Sequence*)>& set) {
  const auto found = sequences_.find(number);
  if (found == sequences_.end()) return;
  TANDEM_CHECK(!found->second.propose.has_value() &&
               !found->second.verify.has_value());
  set(&found->second);
  found->second.asked_at = network_->Now();
  found->second.compute_us = 0;
  working_.insert(number);
  Changed();
  BeginPass();
}

// A target has one request at a time, a drafter another behind one ahead.
void SimulatedWorker::Propose(uint64_t sequence, const ProposeAction& propose) {
  const auto found = sequences_.find(sequence);
  if (found != sequences_.end() && found->second.propose.has_value()) {
    TANDEM_CHECK(found->second.proposes_waiting.empty());
    found->second.proposes_waiting.push_back(propose);
    return;
  }
  Request(sequence, [&propose](Sequence* it) {
    it->propose = propose;
    it->drafted = 0;
  });
}

void SimulatedWorker::Verify(uint64_t sequence, const VerifyAction& verify) {
  Request(sequence, [&verify](Sequence* it) { it->verify = verify; });
}

void SimulatedWorker::Close(uint64_t sequence) {
  const auto found = sequences_.find(sequence);
  if (found == sequences_.end()) return;
  if (found->second.prefill_left == 0) {
    cache_->Add(CacheKey(found->second.tokens.tokens()), "self");
  }
  kv_pages_used_ -= found->second.pages;
  working_.erase(sequence);
  sequences_.erase(found);
  network_->Log("close", {options_.id, static_cast<int64_t>(sequence)});
  Changed();
}

int SimulatedWorker::DecodeRows(const Sequence& sequence) {
  if (sequence.verify.has_value()) {
    return static_cast<int>(sequence.verify->tokens.size() +
                            sequence.verify->draft.size());
  }
  return sequence.drafted > 0
             ? 1
             : static_cast<int>(sequence.propose->tokens.size());
}

void SimulatedWorker::BeginPass() {
  if (computing_ || !alive_ || working_.empty()) return;
  pass_.clear();
  int rows = 0;
  for (const uint64_t number : working_) {
    const Sequence& sequence = sequences_.at(number);
    if (sequence.prefill_left > 0) continue;
    const int own = DecodeRows(sequence);
    if (rows + own > kPassRowsMax) break;
    pass_.push_back({.sequence = number, .rows = own});
    rows += own;
  }
  const int decoding = static_cast<int>(pass_.size());
  int room = decoding > 0
                 ? std::min(kPrefillRowsBesideDecode, kPassRowsMax - rows)
                 : kPassRowsMax;
  for (const uint64_t number : working_) {
    const Sequence& sequence = sequences_.at(number);
    if (sequence.prefill_left == 0 || room == 0) continue;
    const int own =
        static_cast<int>(std::min<int64_t>(room, sequence.prefill_left));
    pass_.push_back({.sequence = number, .rows = own, .is_prefill = true});
    rows += own;
    room -= own;
  }
  if (decoding > 0) {
    sequences_per_pass_ += kNewestWeight * (decoding - sequences_per_pass_);
  }
  computing_ = true;
  pass_us_ = (options_.base_us + rows * options_.row_us) * slowness_;
  busy_us_ += pass_us_;
  network_->After(Micros(pass_us_), [this, life = life_] {
    if (life == life_) EndPass();
  });
}

void SimulatedWorker::EndPass() {
  computing_ = false;
  int rows = 0;
  for (const Share& share : pass_) rows += share.rows;
  const std::vector<Share> pass = std::move(pass_);
  pass_.clear();
  for (const Share& share : pass) {
    const auto found = sequences_.find(share.sequence);
    if (found == sequences_.end()) continue;  // closed meanwhile
    found->second.compute_us += pass_us_ * share.rows / rows;
    Advance(share.sequence, &found->second, share);
  }
  Changed();
  BeginPass();
}

void SimulatedWorker::Advance(uint64_t number, Sequence* sequence,
                              const Share& share) {
  if (share.is_prefill) {
    sequence->prefill_left -= share.rows;
    if (sequence->prefill_left == 0) {
      cache_->Add(CacheKey(sequence->tokens.tokens()), "self");
    }
  } else if (sequence->verify.has_value()) {
    AnswerVerification(number, sequence);
  } else if (++sequence->drafted >= sequence->propose->draft_length) {
    AnswerProposal(number, sequence);
  }
  const auto found = sequences_.find(number);
  if (found != sequences_.end() && !HasWork(found->second)) {
    working_.erase(number);
  }
}

void SimulatedWorker::AnswerProposal(uint64_t number, Sequence* sequence) {
  const ProposeAction propose = *std::exchange(sequence->propose, std::nullopt);
  if (!sequence->tokens.Extend(propose.position, propose.tokens)) {
    return CloseWith(number, absl::InvalidArgumentError("bad position"));
  }
  const auto position = static_cast<Position>(sequence->tokens.tokens().size());
  sequence->events->OnAnswer(MakeAnswer(
      *sequence, position, sequence->tokens.Propose(propose.draft_length)));
  if (sequence->proposes_waiting.empty()) return;
  sequence->propose = std::move(sequence->proposes_waiting.front());
  sequence->proposes_waiting.pop_front();
  sequence->drafted = 0;
  sequence->asked_at = network_->Now();
  sequence->compute_us = 0;
}

void SimulatedWorker::AnswerVerification(uint64_t number, Sequence* sequence) {
  const VerifyAction verify = *std::exchange(sequence->verify, std::nullopt);
  if (!sequence->tokens.Extend(verify.position, verify.tokens)) {
    return CloseWith(number, absl::InvalidArgumentError("bad position"));
  }
  const auto position = static_cast<Position>(sequence->tokens.tokens().size());
  sequence->events->OnAnswer(
      MakeAnswer(*sequence, position, sequence->tokens.Verify(verify.draft)));
}

WorkerAnswer SimulatedWorker::MakeAnswer(
    const Sequence& sequence, Position position,
    absl::Span<const TokenId> tokens) const {
  WorkerAnswer answer{
      .position = position,
      .tokens = {},
      .compute_us = static_cast<int64_t>(sequence.compute_us),
      .served_us = std::chrono::duration_cast<std::chrono::microseconds>(
                       network_->Now() - sequence.asked_at)
                       .count()};
  for (const TokenId id : tokens) {
    answer.tokens.push_back({.id = id, .logprob = 0, .alternatives = {}});
  }
  return answer;
}

void SimulatedWorker::CloseWith(uint64_t number, const absl::Status& status) {
  const std::shared_ptr<SequenceEvents> events = sequences_.at(number).events;
  Close(number);
  events->OnClosed(status);
}

void SimulatedWorker::CloseAll(const absl::Status& status) {
  while (!sequences_.empty()) CloseWith(sequences_.begin()->first, status);
}

void SimulatedWorker::Drain(MonotonicDuration timeout) {
  if (!alive_ || std::exchange(draining_, true)) return;
  network_->Log("drain", {options_.id});
  Changed();
  network_->After(timeout, [this, life = life_] {
    if (life != life_) return;
    drained_with_ += sequences();
    CloseAll(Unavailable(kReasonDraining, "drained"));
    TANDEM_CHECK(kv_pages_used_ == 0);
    Die();
  });
}

void SimulatedWorker::Die() {
  if (!std::exchange(alive_, false)) return;
  network_->Log("die", {options_.id, sequences()});
  ++life_;
  draining_ = false;
  CloseAll(absl::UnavailableError("connection reset"));
  working_.clear();
  for (const Watcher& watcher : std::exchange(watchers_, {})) {
    watcher({.load = {}, .costs = nullptr, .draining = false, .gone = true});
  }
}

WorkerLoad SimulatedWorker::load() const {
  const int64_t free = options_.kv_pages - kv_pages_used_;
  const int64_t cached = static_cast<int64_t>(cache_->blocks()) *
                         kPrefixBlockTokens / options_.kv_page_tokens;
  return {.streams = static_cast<int>(sequences_.size()),
          .requests_pending = static_cast<int>(working_.size()),
          .streams_queued = 0,
          .kv_pages_free = free,
          .kv_pages_cached = std::min(free, cached),
          .kv_pages_total = options_.kv_pages,
          .kv_page_tokens = options_.kv_page_tokens};
}

void SimulatedWorker::Watch(Watcher watcher) {
  watchers_.push_back(std::move(watcher));
  Report();
}

void SimulatedWorker::Changed() {
  if (!alive_ || std::exchange(report_due_, true)) return;
  network_->After(kReportEvery, [this, life = life_] {
    if (life == life_) Report();
  });
}

void SimulatedWorker::Report() {
  report_due_ = false;
  const WorkerReport report{
      .load = load(),
      .costs = std::make_shared<const WorkerCosts>(WorkerCosts{
          .passes = passes_, .sequences = std::max(1.0, sequences_per_pass_)}),
      .draining = draining_};
  for (const Watcher& watcher : watchers_) watcher(report);
}

}  // namespace tandem
