// Fuzz target: what a worker takes from whoever says to be a coordinator. The
// input is a script (script.h) for two Decode streams of one worker, without
// gRPC: bytes for the wire, messages made of valid parts, half-closes, and
// readers that wait. The streams, the models and the compute loop are the
// worker's; the engine is a fake that refuses what a real one would stop the
// process for.

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/check.h"
#include "services/worker/models/model_set.h"
#include "services/worker/server/decode_stream.h"
#include "tandem/v1/worker.pb.h"
#include "tests/engine/session/fake_engine.h"
#include "tests/fuzz/script.h"

namespace tandem {
namespace {

// A script is cut there: a few messages bring a worker into any state.
constexpr int kOrdersMax = 64;
// A worker answers within microseconds, or it waits for another message. One
// that is slower misses one of the script.
constexpr absl::Duration kAnswerTime = absl::Milliseconds(2);
// What never takes so long hangs.
constexpr absl::Duration kHangTime = absl::Seconds(5);

using Call =
    grpc::ServerCallbackReaderWriter<v1::DecodeRequest, v1::DecodeResponse>;

// Of the worker; outlives all calls.
GrammarThread* Grammars() {
  static auto* const thread = new GrammarThread();
  return thread;
}

// gRPC's side of one Decode stream: keeps what the stream started until the
// script, on one thread, completes it.
class FakeCall final : public Call {
 public:
  explicit FakeCall(ModelSet* models)
      : stream_(new DecodeStream({.models = models,
                                  .grammars = Grammars(),
                                  .is_draining = [] { return false; },
                                  .on_gone = [this] { OnGone(); }})) {
    BindReactor(stream_);
  }

  // The next message from the peer; dropped where the worker takes none now.
  void Deliver(absl::string_view bytes) {
    v1::DecodeRequest* const message = AwaitRead();
    if (message == nullptr) return;
    ++delivered_;
    stream_->OnReadDone(
        message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  }
  void HalfClose() {
    if (AwaitRead() != nullptr) stream_->OnReadDone(false);
  }
  // Whether the peer reads what it is sent.
  void SetReading(bool reads) { reads_ = reads; }

  // The peer is gone: until the stream is.
  void End() {
    if (!Await([this] { return status_.has_value(); }, absl::ZeroDuration())) {
      stream_->OnCancel();
    }
    reads_ = true;
    TANDEM_CHECK(Await([this] { return status_.has_value(); }, kHangTime));
    if (TakeRead() != nullptr) stream_->OnReadDone(false);
    stream_->OnDone();
    TANDEM_CHECK(Await([this] { return gone_; }, kHangTime));
  }

  void Read(v1::DecodeRequest* message) override {
    const absl::MutexLock lock(&mutex_);
    TANDEM_CHECK(read_ == nullptr && !status_.has_value());
    read_ = message;
  }
  void Write(const v1::DecodeResponse* message, grpc::WriteOptions) override {
    const absl::MutexLock lock(&mutex_);
    TANDEM_CHECK(write_ == nullptr && !status_.has_value());
    write_ = message;
  }
  void Finish(grpc::Status status) override {
    // A peer's message is no fault of the worker.
    TANDEM_CHECK(status.error_code() != grpc::StatusCode::INTERNAL &&
                 status.error_code() != grpc::StatusCode::UNKNOWN);
    const absl::MutexLock lock(&mutex_);
    TANDEM_CHECK(!status_.has_value());
    status_ = std::move(status);
  }
  void SendInitialMetadata() override {}
  void WriteAndFinish(const v1::DecodeResponse*, grpc::WriteOptions,
                      grpc::Status) override {
    TANDEM_CHECK(false);
  }

 private:
  grpc::internal::ServerReactor* reactor() override { return stream_; }
  void CallOnDone() override {}

  void OnGone() {
    const absl::MutexLock lock(&mutex_);
    gone_ = true;
  }

  // Completes writes until `condition` (called with the lock) holds or the time
  // is over.
  template <typename Condition>
  bool Await(Condition condition, absl::Duration timeout) {
    const absl::Time until = absl::Now() + timeout;
    const auto is_ready = [this, &condition] {
      return condition() || (reads_ && write_ != nullptr);
    };
    while (true) {
      {
        const absl::MutexLock lock(&mutex_);
        if (!mutex_.AwaitWithDeadline(absl::Condition(&is_ready), until)) {
          return false;
        }
        if (condition()) return true;
        CheckAnswer(*write_);
        write_ = nullptr;
      }
      stream_->OnWriteDone(true);
    }
  }

  v1::DecodeRequest* TakeRead() {
    const absl::MutexLock lock(&mutex_);
    return std::exchange(read_, nullptr);
  }
  v1::DecodeRequest* AwaitRead() {
    Await([this] { return read_ != nullptr || status_.has_value(); },
          kAnswerTime);
    const absl::MutexLock lock(&mutex_);
    return status_.has_value() ? nullptr : std::exchange(read_, nullptr);
  }

  // One answer for each message, and `opened` is the first; scores come between
  // that and the second.
  void CheckAnswer(const v1::DecodeResponse& answer) {
    if (answer.has_scored()) {
      TANDEM_CHECK(answered_ == 1);
      TANDEM_CHECK(answer.scored().logprobs_size() > 0 &&
                   answer.scored().logprobs_size() <= kScoredRowsMax);
      return;
    }
    TANDEM_CHECK(++answered_ <= delivered_);
    TANDEM_CHECK(answer.has_opened() == (answered_ == 1));
    for (const int32_t id : answer.decoded().token_ids()) {
      TANDEM_CHECK(id >= 0 && id < kFakeVocabSize);
    }
  }

  // The script's thread.
  bool reads_ = true;
  int delivered_ = 0;
  int answered_ = 0;

  absl::Mutex mutex_;
  v1::DecodeRequest* read_ = nullptr;
  const v1::DecodeResponse* write_ = nullptr;
  std::optional<grpc::Status> status_;
  bool gone_ = false;
  DecodeStream* const stream_;  // last: it may read at once
};

// A worker of one model, made once, with KV for two or three short sequences:
// a second one may have to wait.
ModelSet* Worker(v1::WorkerRole role) {
  auto* const models = new ModelSet(
      [] {}, [](const StepReport& report) { TANDEM_CHECK(report.ok); });
  WorkerModelParts parts;
  parts.engine =
      std::make_unique<FakeEngine>(FakeEngineOptions{.context_max = 200,
                                                     .rows_max = 16,
                                                     .sequences_max = 4,
                                                     .kv_tokens = 300,
                                                     .rollback_max = 20});
  parts.info = {.role = role,
                .model_id = "model",
                .fingerprint = "fingerprint",
                .vocabulary_fingerprint = "vocabulary",
                .numerics = "int8",
                .context_max = parts.engine->info().context_max,
                .vocab_size = parts.engine->info().vocab_size};
  TANDEM_CHECK(models->Add(std::move(parts)).ok());
  return models;
}

void AddTokens(Script* script, google::protobuf::RepeatedField<int32_t>* ids) {
  for (int count = script->Byte() % 48; count > 0; --count) {
    ids->Add(script->Byte() % (kFakeVocabSize + 1));
  }
}

// A text; bytes that are no UTF-8 are for messages from the wire.
std::string Letters(Script* script) {
  std::string text(script->Piece());
  for (char& letter : text) {
    letter = static_cast<char>('a' + static_cast<uint8_t>(letter) % 26);
  }
  return text;
}

// Nearly valid messages: what a mutation of bytes seldom hits.
v1::DecodeRequest MakeOpen(Script* script) {
  v1::DecodeRequest request;
  v1::OpenSequence& open = *request.mutable_open();
  AddTokens(script, open.mutable_tokens());
  open.set_generated_from(1 + script->Byte() % (open.tokens_size() + 1));
  open.set_tokens_max(open.tokens_size() + script->Byte());
  open.set_queue_timeout_ms(script->Byte());
  open.set_tenant(Letters(script));
  v1::GenerationOptions& options = *open.mutable_options();
  options.set_seed(7);
  options.set_temperature(static_cast<float>(script->Byte()) / 64);
  options.set_ignore_eos(script->Byte() % 2 == 0);
  const int logprobs = script->Byte();
  options.set_logprobs(logprobs % 21);
  if (logprobs >= 128) {
    open.set_score_from(logprobs % (open.tokens_size() + 1));
    open.set_score_alternatives(logprobs % 22);
  }
  options.add_stop_token_ids(script->Byte() % kFakeVocabSize);
  const std::string stop = Letters(script);
  if (!stop.empty()) options.add_stop_strings(stop);
  return request;
}

v1::DecodeRequest MakeAction(Script* script, bool verifies) {
  v1::DecodeRequest request;
  const int position = script->Byte();
  if (verifies) {
    request.mutable_verify()->set_position(position);
    AddTokens(script, request.mutable_verify()->mutable_tokens());
    AddTokens(script, request.mutable_verify()->mutable_draft());
  } else {
    request.mutable_propose()->set_position(position);
    AddTokens(script, request.mutable_propose()->mutable_tokens());
    request.mutable_propose()->set_draft_length(script->Byte() % 20);
  }
  return request;
}

void Run(Script script) {
  static ModelSet* const draft = Worker(v1::WORKER_ROLE_DRAFT);
  static ModelSet* const target = Worker(v1::WORKER_ROLE_TARGET);
  const bool verifies = script.Byte() % 2 == 1;
  FakeCall calls[2] = {FakeCall(verifies ? target : draft),
                       FakeCall(verifies ? target : draft)};
  for (int i = 0; i < kOrdersMax && !script.done(); ++i) {
    const int order = script.Byte();
    FakeCall& call = calls[order & 1];
    switch (order / 2 % 6) {
      case 0:
        call.Deliver(script.Piece());
        break;
      case 1:
        call.Deliver(MakeOpen(&script).SerializeAsString());
        break;
      case 2:
        call.Deliver(MakeAction(&script, verifies).SerializeAsString());
        break;
      case 3:
        call.HalfClose();
        break;
      case 4:
        call.SetReading(false);
        break;
      case 5:
        call.SetReading(true);
        break;
    }
  }
  for (FakeCall& call : calls) call.End();
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::Run(tandem::Script({reinterpret_cast<const char*>(data), size}));
  return 0;
}
