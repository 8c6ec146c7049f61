// Fuzz target: what a coordinator takes from clients and from workers. The
// input is a script (script.h) for up to four Converse streams over two targets
// and a drafter, without gRPC and on a clock of its own: bytes for the wire in
// both directions, reports, streams that break, readers that wait. Streams,
// sessions, turns and routing are the coordinator's; workers answer as they
// should, and beside that what the script says.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "services/coordinator/append/appended_prompt.h"
#include "services/coordinator/client/background_queue.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/client/default_limits.h"
#include "services/coordinator/client/memory_budget.h"
#include "services/coordinator/client/prompt.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/client/turn_quotas.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/score/score_call.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/workers/worker_report.h"
#include "services/coordinator/workers/worker_table.h"
#include "tandem/v1/generation.pb.h"
#include "tandem/v1/worker.pb.h"
#include "tests/fuzz/script.h"
#include "tests/services/coordinator/fake_links.h"
#include "tests/services/coordinator/fake_model.h"

namespace tandem {
namespace {

constexpr int kOrdersMax = 64;
constexpr size_t kClientsMax = 4;
constexpr int kStepsMax = 300;
// Few long prompts, so that the bound is met.
constexpr int64_t kMemoryBytes = 1 << 20;
// Of the script's clock: after each order, and at the end.
constexpr MonotonicDuration kOrderTime = std::chrono::milliseconds(20);
constexpr MonotonicDuration kEndTime = std::chrono::minutes(2);
// In a message of the script: the session that was started last.
constexpr char kLastSession[] = "*";

bool Parse(absl::string_view bytes, google::protobuf::Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

class TappedStream;

// A link of the fakes whose streams the script can speak on.
class TappedLink : public FakeLink {
 public:
  TappedLink(const std::string& fingerprint, std::vector<TappedStream*>* live)
      : FakeLink(/*seed=*/1, fingerprint), live_(live) {}

  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override;
  WorkerLoad load() const override { return reported_load; }

  WorkerLoad reported_load;

 private:
  std::vector<TappedStream*>* const live_;
};

class TappedStream : public WorkerStream {
 public:
  TappedStream(std::unique_ptr<WorkerStream> inner, WorkerStreamEvents* events,
               std::vector<TappedStream*>* live)
      : inner_(std::move(inner)), events_(events), live_(live) {
    live_->push_back(this);
  }
  ~TappedStream() override { std::erase(*live_, this); }

  void Propose(ProposeAction propose) override {
    inner_->Propose(std::move(propose));
  }
  void Verify(VerifyAction verify) override {
    inner_->Verify(std::move(verify));
  }
  WorkerStreamEvents* events() { return events_; }

 private:
  const std::unique_ptr<WorkerStream> inner_;
  WorkerStreamEvents* const events_;
  std::vector<TappedStream*>* const live_;
};

std::unique_ptr<WorkerStream> TappedLink::Open(
    OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
    std::optional<MonotonicTime> deadline) {
  return std::make_unique<TappedStream>(
      FakeLink::Open(std::move(request), loop, events, deadline), events,
      live_);
}

// gRPC's side of one client's stream. Checks that events make turns.
class FakeTransport : public ClientTransport {
 public:
  explicit FakeTransport(std::string* last_session)
      : last_session_(last_session) {}

  void Read() override {
    TANDEM_CHECK(!reading && !finished);
    reading = true;
  }
  void Write(const v1::ConverseResponse& event) override {
    TANDEM_CHECK(!writing && !finished);
    writing = true;
    // Texts are UTF-8, or this does not parse.
    v1::ConverseResponse copy;
    TANDEM_CHECK(copy.ParseFromString(event.SerializeAsString()));
    TANDEM_CHECK(event.has_started() == !in_turn_);
    if (event.has_started()) {
      *last_session_ = event.started().session_id();
      next_token_.reset();
    } else if (event.has_tokens()) {
      TakeTokens(event.tokens());
    }
    in_turn_ = !event.has_ended();
  }
  void Finish(const absl::Status& /*status*/) override {
    TANDEM_CHECK(!writing && !finished);
    finished = true;
  }

  bool reading = true;  // gRPC's first read is there from the start
  bool writing = false;
  bool finished = false;
  bool reads_events = true;

 private:
  void TakeTokens(const v1::TokensGenerated& tokens) {
    TANDEM_CHECK(tokens.token_ids_size() > 0);
    TANDEM_CHECK(!next_token_.has_value() ||
                 *next_token_ == tokens.first_token());
    next_token_ = tokens.first_token() + tokens.token_ids_size();
    for (const int32_t id : tokens.token_ids()) {
      TANDEM_CHECK(id >= 0 && id < FakeTokenizer()->vocab_size());
    }
  }

  std::string* const last_session_;
  bool in_turn_ = false;
  std::optional<int64_t> next_token_;  // none: a turn or a resume begins
};

struct Client {
  explicit Client(ClientServices* services, std::string* last_session)
      : transport(last_session),
        stream(std::make_shared<ClientStream>(
            services, &transport,
            ClientStreamSetup{.tenant = "tenant",
                              .turn_field = "start",
                              .call_deadline = std::nullopt})) {}

  FakeTransport transport;
  const std::shared_ptr<ClientStream> stream;
  bool is_cancelled = false;
  bool has_appended = false;  // so a start's text may be longer than it looks
};

// A Score call of a client's.
class Scored final : public ScoreTransport {
 public:
  explicit Scored(ClientServices* services)
      : call_(std::make_shared<ScoreCall>(
            services, this, ScoreCallSetup{.tenant = "tenant"})) {}

  ScoreCall* call() { return call_.get(); }
  bool finished() const { return finished_; }

  void Finish(const absl::StatusOr<v1::ScoreResponse>& response) override {
    TANDEM_CHECK(!std::exchange(finished_, true));
    if (!response.ok()) return;
    for (const v1::ContinuationScore& score : response->scores()) {
      TANDEM_CHECK(score.token_ids_size() > 0 &&
                   score.token_ids_size() == score.logprobs_size());
      TANDEM_CHECK(score.logprob() <= 0);
    }
  }

 private:
  bool finished_ = false;
  const std::shared_ptr<ScoreCall> call_;
};

class Scene {
 public:
  Scene()
      : loop_(&clock_),
        router_([this] { return table_; }, /*seed=*/1),
        memory_(kMemoryBytes, &clock_),
        limits_(TenantLimits()),
        quotas_(&loop_, /*turns_max=*/3, &limits_, /*seed=*/1),
        sessions_(&loop_, {.sessions_max = 8}, &limits_, &memory_) {
    std::vector<WorkerInfo> workers;
    for (const char* name : {"t1", "t2", "d1"}) {
      const bool is_draft = *name == 'd';
      links_.push_back(
          std::make_shared<TappedLink>(is_draft ? "draft-fp" : "fp", &live_));
      WorkerInfo worker;
      worker.address = name;
      worker.role = is_draft ? WorkerRole::kDraft : WorkerRole::kTarget;
      worker.usable = true;
      worker.model_id = is_draft ? "fake-draft" : "fake";
      worker.fingerprint = is_draft ? "draft-fp" : "fp";
      worker.vocabulary_fingerprint = "vocabulary";
      worker.context_max = 2000;
      worker.vocab_size = FakeTokenizer()->vocab_size();
      worker.tokenizer = FakeTokenizer();
      worker.link = links_.back();
      workers.push_back(std::move(worker));
    }
    table_ = std::make_shared<const WorkerTable>(std::move(workers));
    services_.loop = &loop_;
    services_.sessions = &sessions_;
    services_.router = &router_;
    RunBackground();
    services_.memory = &memory_;
    services_.quotas = &quotas_;
    TakeAppends(kAppendIdle, &services_);
    AddClient();
  }

  void Run(Script script) {
    for (int i = 0; i < kOrdersMax && !script.done(); ++i) {
      Obey(&script);
      Settle(kOrderTime);
    }
    for (const auto& client : clients_) {
      client->transport.reads_events = true;
      Cancel(client.get());
    }
    if (scored_ != nullptr) scored_->call()->PostCancelled();
    Settle(kEndTime);
    TANDEM_CHECK(scored_ == nullptr || scored_->finished());
    for (const auto& client : clients_) {
      TANDEM_CHECK(client->transport.finished);
    }
    TANDEM_CHECK(quotas_.turns() == 0);
    TANDEM_CHECK(live_.empty());
  }

 private:
  void AddClient() {
    clients_.push_back(std::make_unique<Client>(&services_, &last_session_));
  }

  void Obey(Script* script) {
    const int order = script->Byte();
    Client* const client =
        clients_[static_cast<size_t>(order / 16) % clients_.size()].get();
    switch (order % 16) {
      case 0:
      case 1:
        return Send(client, script->Piece());
      case 2:
        return HalfClose(client);
      case 3:
        return Cancel(client);
      case 4:
        if (clients_.size() < kClientsMax) AddClient();
        return;
      case 5:
        client->transport.reads_events ^= true;
        return;
      case 6:
      case 7:
        return Answer(script);
      case 8:
        return Close(script);
      case 9:
        return Report(script);
      case 10:
        clock_.AdvanceTo(clock_.Now() +
                         std::chrono::milliseconds(1 << script->Byte() % 22));
        return;
      case 11:
        LinkOf(script->Byte())->silent ^= true;
        return;
      case 12:
        services_.draining.store(true);
        return client->stream->PostDrain();
      case 13:
        return client->stream->PostStop();
      case 14:
        return Score(script->Piece());
      case 15:
        if (scored_ != nullptr) scored_->call()->PostCancelled();
        return;
      default:
        return;
    }
  }

  TappedLink* LinkOf(int number) {
    return links_[static_cast<size_t>(number) % links_.size()].get();
  }
  // A stream at a worker now; null where there is none.
  TappedStream* LiveOf(int number) {
    return live_.empty() ? nullptr
                         : live_[static_cast<size_t>(number) % live_.size()];
  }

  // As the reactor of Converse.
  void Send(Client* client, absl::string_view bytes) {
    if (client->is_cancelled) return;
    if (!std::exchange(client->transport.reading, false)) return;
    v1::ConverseRequest message;
    if (!Parse(bytes, &message)) {
      return client->stream->PostRefused(MalformedMessage());
    }
    std::string* const session =
        message.has_resume()   ? message.mutable_resume()->mutable_session_id()
        : message.has_start()  ? message.mutable_start()->mutable_session_id()
        : message.has_append() ? message.mutable_append()->mutable_session_id()
                               : nullptr;
    if (session != nullptr && *session == kLastSession) {
      *session = last_session_;
    }
    client->has_appended = client->has_appended || message.has_append();
    const bool may_take_long =
        message.start().has_messages() ||
        message.start().text().size() > kInlineTextBytes ||
        (message.has_start() && client->has_appended);
    client->stream->PostMessage(std::move(message));
    if (!may_take_long) return;
    loop_.RunReady();
    RunBackground();
  }

  // As its reactor, one call at a time.
  void Score(absl::string_view bytes) {
    if (scored_ != nullptr && !scored_->finished()) return;
    scored_ = std::make_unique<Scored>(&services_);
    v1::ScoreRequest request;
    if (!Parse(bytes, &request)) {
      return scored_->call()->PostRefused(MalformedMessage());
    }
    scored_->call()->PostRequest(std::move(request));
    loop_.RunReady();
    RunBackground();
  }

  // Runs what the helper threads have: new ones take their place.
  void RunBackground() {
    background_ = std::make_unique<BackgroundQueue>(/*tasks_max=*/4, &memory_);
    services_.background = background_.get();
  }

  void HalfClose(Client* client) {
    if (client->is_cancelled) return;
    if (std::exchange(client->transport.reading, false)) {
      client->stream->PostHalfClose();
    }
  }

  void Cancel(Client* client) {
    if (std::exchange(client->is_cancelled, true)) return;
    if (!client->transport.finished) client->stream->PostCancelled();
  }

  void Answer(Script* script) {
    TappedStream* const live = LiveOf(script->Byte());
    v1::DecodeResponse response;
    if (!Parse(script->Piece(), &response) || live == nullptr) return;
    DeliverResponse(response, live->events());
  }

  void Close(Script* script) {
    TappedStream* const live = LiveOf(script->Byte());
    const auto code = static_cast<absl::StatusCode>(script->Byte() % 17);
    if (live != nullptr) live->events()->OnClosed(absl::Status(code, "closed"));
  }

  void Report(Script* script) {
    TappedLink* const link = LinkOf(script->Byte());
    v1::WatchResponse report;
    if (!Parse(script->Piece(), &report)) return;
    for (const ModelReport& model : ReadReport(report)) {
      link->reported = model.costs;
      link->reported_load = model.load;
    }
  }

  // Lets everything happen that does within `limit`.
  void Settle(MonotonicDuration limit) {
    const MonotonicTime until = clock_.Now() + limit;
    for (int i = 0; i < kStepsMax; ++i) {
      bool moved = loop_.RunReady();
      for (const auto& client : clients_) {
        if (!client->transport.reads_events) continue;
        if (!std::exchange(client->transport.writing, false)) continue;
        client->stream->PostWriteDone();
        moved = true;
      }
      if (moved) continue;
      const std::optional<MonotonicTime> next = loop_.NextTimer();
      if (!next.has_value() || *next > until) return;
      clock_.AdvanceTo(*next);
    }
  }

  // In this order: each may refer to those before it.
  FakeClock clock_;
  std::vector<TappedStream*> live_;
  std::vector<std::shared_ptr<TappedLink>> links_;
  std::shared_ptr<const WorkerTable> table_;
  ClientServices services_;
  std::string last_session_;
  EventLoop loop_;
  Router router_;
  MemoryBudget memory_;
  DefaultLimits limits_;
  TurnQuotas quotas_;
  SessionStore sessions_;
  std::unique_ptr<BackgroundQueue> background_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<Scored> scored_;
};

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::Scene().Run(
      tandem::Script({reinterpret_cast<const char*>(data), size}));
  return 0;
}
