// Load for a tandem coordinator.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "tools/load/load_target.h"
#include "tools/tandem/base/output.h"

namespace tandem::load {
namespace {

// The request of `turn`; `session_id` empty: a new session.
v1::TurnRequest RequestOf(const LoadTurn& turn, const v1::TurnRequest& common,
                          const std::string& session_id) {
  v1::TurnRequest request = common;
  request.set_session_id(session_id);
  request.mutable_tokens()->mutable_ids()->Add(turn.prompt.begin(),
                                               turn.prompt.end());
  v1::GenerationOptions* options = request.mutable_options();
  options->set_max_tokens(static_cast<int32_t>(turn.output_tokens));
  options->set_seed(turn.seed);
  if (turn.draft_length.has_value()) {
    options->set_draft_length(*turn.draft_length);
  }
  if (!turn.with_format) options->clear_response_format();
  return request;
}

TurnOutcome OutcomeOf(const v1::TurnEnded& ended) {
  return {.status = absl::OkStatus(),
          .finish_reason = cli::FinishReasonName(ended.finish_reason()),
          .usage = ended.usage(),
          .speculation = ended.speculation()};
}

// Reads a turn to its end. Kept alive by what it waits for; a session may be
// gone once the observer has heard of the end.
class TurnReader : public std::enable_shared_from_this<TurnReader> {
 public:
  TurnReader(std::shared_ptr<client::TurnStream> stream, TurnObserver* observer)
      : stream_(std::move(stream)), observer_(observer) {}

  void ReadOn() {
    stream_->Next([self = shared_from_this()](const client::NextEvent& next) {
      self->Take(next);
    });
  }

 private:
  void Take(const client::NextEvent& next) {
    if (!next.ok()) return observer_->OnEnd({.status = next.status()});
    const client::Event& event = **next;  // none is asked for after the last
    if (event.has_tokens()) {
      observer_->OnTokens(event.tokens().token_ids_size());
    }
    if (event.has_ended()) return observer_->OnEnd(OutcomeOf(event.ended()));
    ReadOn();
  }

  const std::shared_ptr<client::TurnStream> stream_;
  TurnObserver* const observer_;
};

class TandemSession final : public LoadSession {
 public:
  // Both outlive the session.
  TandemSession(client::Client* client, const v1::TurnRequest& common)
      : client_(client), common_(common) {}

  void Start(const LoadTurn& turn, TurnObserver* observer) override {
    std::optional<v1::TurnStarted> last;
    if (stream_ != nullptr) last = stream_->started();
    stream_ = client_->Start(
        RequestOf(turn, common_, last.has_value() ? last->session_id() : ""));
    std::make_shared<TurnReader>(stream_, observer)->ReadOn();
  }
  void Cancel() override { stream_->Cancel(); }
  void Abort() override { stream_->Leave(); }

 private:
  client::Client* const client_;
  const v1::TurnRequest& common_;
  std::shared_ptr<client::TurnStream> stream_;  // of the last turn
};

class TandemTarget final : public LoadTarget {
 public:
  TandemTarget(std::vector<std::unique_ptr<client::Client>> clients,
               const v1::TurnRequest& common)
      : common_(common), clients_(std::move(clients)) {
    TANDEM_CHECK(!clients_.empty());
  }

  std::unique_ptr<LoadSession> NewSession() override {
    return std::make_unique<TandemSession>(
        clients_[next_client_++ % clients_.size()].get(), common_);
  }

 private:
  const v1::TurnRequest common_;
  const std::vector<std::unique_ptr<client::Client>> clients_;
  size_t next_client_ = 0;
};

}  // namespace

std::unique_ptr<LoadTarget> MakeTandemTarget(
    std::vector<std::unique_ptr<client::Client>> clients,
    const v1::TurnRequest& common) {
  return std::make_unique<TandemTarget>(std::move(clients), common);
}

}  // namespace tandem::load
