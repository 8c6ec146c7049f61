#include "tests/simulation/simulated_client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// Seconds of trying, more than any fault of a simulation lasts.
constexpr int kTriesMax = 2000;
constexpr std::chrono::milliseconds kRetryAfter(200);
// Ordinary tokens of the fake vocabulary.
constexpr TokenId kFirstToken = 259;
constexpr uint64_t kTokens = 40;

}  // namespace

// The transport of one client stream; lives until that has finished it.
class SimulatedClient::Attempt
    : public ClientTransport,
      public std::enable_shared_from_this<SimulatedClient::Attempt> {
 public:
  Attempt(SimulatedNetwork* network, SimulatedClient* client)
      : network_(network), client_(client) {}

  void Begin(ClientServices* services, v1::ConverseRequest message) {
    self_ = shared_from_this();
    stream_ = std::make_shared<ClientStream>(
        services, this,
        ClientStreamSetup{.tenant = "tenant",
                          .turn_field = "start",
                          .call_deadline = std::nullopt});
    Send(std::move(message));
  }
  void Send(v1::ConverseRequest message) {
    network_->Send(&up_, [self = shared_from_this(), message] {
      self->stream_->PostMessage(message);
    });
  }
  void HalfClose() {
    network_->Send(
        &up_, [self = shared_from_this()] { self->stream_->PostHalfClose(); });
  }
  // The client hears nothing any more; the server learns of it a bit later.
  void Break() {
    client_ = nullptr;
    network_->Send(
        &up_, [self = shared_from_this()] { self->stream_->PostCancelled(); });
  }

  void Read() override {}
  void Write(const v1::ConverseResponse& event) override {
    network_->Send(&down_, [self = shared_from_this(), event] {
      MonotonicDuration read_time = {};
      if (self->client_ != nullptr) {
        read_time = self->client_->options_.read_time;
        self->client_->OnEvent(self.get(), event);
      }
      self->network_->After(read_time,
                            [self] { self->stream_->PostWriteDone(); });
    });
  }
  void Finish(const absl::Status& status) override {
    network_->Send(&down_, [self = std::move(self_), status] {
      if (self->client_ != nullptr) {
        self->client_->OnFinished(self.get(), status);
      }
    });
  }

 private:
  SimulatedNetwork* const network_;
  SimulatedClient* client_;  // null: nobody is there any more
  std::shared_ptr<ClientStream> stream_;
  std::shared_ptr<Attempt> self_;  // until Finish
  SimulatedNetwork::Wire up_;
  SimulatedNetwork::Wire down_;
};

SimulatedClient::SimulatedClient(SimulatedNetwork* network,
                                 FindServices find_services,
                                 ClientTotals* totals,
                                 const SimulatedClientOptions& options)
    : network_(network),
      find_services_(std::move(find_services)),
      totals_(totals),
      options_(options) {}

SimulatedClient::~SimulatedClient() = default;

std::string SimulatedClient::Where() const {
  return absl::StrCat("client ", options_.id, " turn ", turn_, " has ",
                      tokens_.size(), " tokens, ", tries_, " tries, known ",
                      known_, ", under way ", under_way_);
}

void SimulatedClient::Fail(const std::string& what) {
  if (totals_->failure.empty()) {
    totals_->failure = absl::StrCat(Where(), ": ", what);
  }
}

void SimulatedClient::StartTurn() {
  ++turn_;
  under_way_ = true;
  known_ = false;
  may_be_known_ = false;
  resuming_ = false;
  tokens_.clear();
  text_.clear();
  tries_ = 0;
  prompt_.clear();
  if (turn_ == 1 && options_.shared_prompt != nullptr) {
    prompt_ = *options_.shared_prompt;
  }
  for (int i = 0; i < options_.prompt_tokens; ++i) {
    prompt_.push_back(kFirstToken +
                      static_cast<TokenId>(network_->Draw(kTokens)));
  }
  began_us_ = network_->NowUs();
  first_token_us_ = 0;
  if (attempt_ == nullptr) return Connect();
  attempt_->Send(FirstMessage());
}

void SimulatedClient::Connect() {
  if (++tries_ > kTriesMax) return Fail("too many tries");
  ClientServices* const services = find_services_();
  if (services == nullptr) return ConnectAgain();
  services_ = services;
  attempt_ = std::make_shared<Attempt>(network_, this);
  attempt_->Begin(services, FirstMessage());
}

v1::ConverseRequest SimulatedClient::FirstMessage() const {
  v1::ConverseRequest message;
  if (resuming_) {
    v1::ResumeRequest& resume = *message.mutable_resume();
    resume.set_session_id(session_id_);
    resume.set_turn(known_ ? turns_known_ : turns_known_ + 1);
    resume.set_tokens_received(static_cast<int64_t>(tokens_.size()));
    resume.set_text_bytes_received(static_cast<int64_t>(text_.size()));
    return message;
  }
  v1::TurnRequest& turn = *message.mutable_start();
  turn.set_session_id(session_id_);
  turn.mutable_tokens()->mutable_ids()->Add(prompt_.begin(), prompt_.end());
  turn.mutable_options()->set_max_tokens(options_.tokens_max);
  turn.mutable_options()->set_seed(7);
  turn.mutable_options()->set_ignore_eos(options_.ignore_eos);
  // Longer and shorter than it takes to come again.
  if (options_.id % 3 != 0) {
    turn.set_on_disconnect(v1::ON_DISCONNECT_GO_ON);
    turn.set_go_on_ms(options_.id % 3 == 1 ? 5000 : 20);
  }
  return message;
}

void SimulatedClient::OnEvent(Attempt* from,
                              const v1::ConverseResponse& event) {
  if (from != attempt_.get()) return;
  switch (event.event_case()) {
    case v1::ConverseResponse::kStarted:
      if (event.started().prompt_tokens() !=
          static_cast<int64_t>(history_.size() + prompt_.size())) {
        Fail("the prompt is not the history and what was sent");
      }
      if (resuming_) ++totals_->resumes;
      session_id_ = event.started().session_id();
      turns_known_ = event.started().turn();
      known_ = true;
      break;
    case v1::ConverseResponse::kTokens:
      OnTokens(event.tokens());
      break;
    case v1::ConverseResponse::kEnded:
      return OnEnded(event.ended());
    default:
      return Fail("an event of no kind");
  }
  if (options_.losses_per_mille > 0 &&
      network_->Draw(1000) < static_cast<uint64_t>(options_.losses_per_mille)) {
    LoseConnection();
  }
}

void SimulatedClient::OnTokens(const v1::TokensGenerated& tokens) {
  if (tokens.first_token() != static_cast<int64_t>(tokens_.size())) {
    Fail(absl::StrCat("tokens from ", tokens.first_token()));
  }
  if (tokens_.empty() && tokens.token_ids_size() > 0) {
    first_token_us_ = network_->NowUs();
  }
  tokens_.insert(tokens_.end(), tokens.token_ids().begin(),
                 tokens.token_ids().end());
  text_ += tokens.text();
  network_->Log("tokens", {options_.id, static_cast<int64_t>(tokens_.size()),
                           tokens_.back()});
}

void SimulatedClient::OnEnded(const v1::TurnEnded& ended) {
  text_ += ended.text();
  TurnSpec spec;
  spec.prompt = history_;
  spec.prompt.insert(spec.prompt.end(), prompt_.begin(), prompt_.end());
  spec.options.max_tokens = options_.tokens_max;
  spec.options.seed = 7;
  spec.options.ignore_eos = options_.ignore_eos;
  spec.context_max = 100000;
  const PlainResult plain = PlainRun(spec);
  if (tokens_ != plain.tokens) Fail("the tokens are not the target's");
  if (text_ != plain.text) Fail("the text is not the target's");
  network_->Log("ended", {options_.id, turn_});
  ++totals_->turns;
  totals_->tokens += static_cast<int64_t>(tokens_.size());
  totals_->rounds += ended.speculation().rounds();
  totals_->drafted += ended.speculation().drafted_tokens();
  totals_->accepted += ended.speculation().accepted_tokens();
  totals_->first_token_us.push_back(first_token_us_ - began_us_);
  const int64_t after_us = network_->NowUs() - first_token_us_;
  if (tokens_.size() > 1 && after_us > 0) {
    totals_->rates.push_back(static_cast<double>(tokens_.size() - 1) * 1e6 /
                             static_cast<double>(after_us));
  }
  history_ = std::move(spec.prompt);
  history_.insert(history_.end(), tokens_.begin(), tokens_.end());
  under_way_ = false;
  if (turn_ == options_.turns) return attempt_->HalfClose();
  network_->After(network_->Jittered(options_.think_time),
                  [this] { StartTurn(); });
}

void SimulatedClient::OnFinished(Attempt* from, const absl::Status& status) {
  if (from != attempt_.get()) return;
  attempt_ = nullptr;
  if (!under_way_) {
    // One that ended between turns: the next turn has another.
    if (turn_ < options_.turns) return;
    done_ = true;
    ++totals_->sessions;
    return;
  }
  const bool was_resuming = resuming_;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:  // resumed elsewhere
    case absl::StatusCode::kResourceExhausted:
      break;
    case absl::StatusCode::kFailedPrecondition:
      // It had not taken the turn, or has not noticed yet that we were gone.
      if (known_) return Fail(status.ToString());
      may_be_known_ = !was_resuming;
      break;
    default:
      return Fail(status.ToString());
  }
  if (!known_) ++totals_->retries;
  ConnectAgain();
}

void SimulatedClient::LoseConnection() {
  ++totals_->losses;
  network_->Log("client", {options_.id});
  may_be_known_ = true;
  std::exchange(attempt_, nullptr)->Break();
  ConnectAgain();
}

void SimulatedClient::OnDeath(const ClientServices* of) {
  if (attempt_ == nullptr || services_ != of) return;
  if (under_way_) return LoseConnection();
  std::exchange(attempt_, nullptr)->Break();
  if (turn_ < options_.turns) return;  // the next turn has another
  done_ = true;
  ++totals_->sessions;
}

void SimulatedClient::ConnectAgain() {
  resuming_ = known_ || (may_be_known_ && !session_id_.empty());
  network_->After(network_->Jittered(kRetryAfter), [this] { Connect(); });
}

}  // namespace tandem
