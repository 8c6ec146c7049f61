#include "tests/services/coordinator/fake_worker_service.h"

#include <grpcpp/server_builder.h>

#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/common/channel.h"
#include "services/common/listen/listening_sockets.h"
#include "services/common/options_conversion.h"
#include "tests/services/coordinator/fake_model.h"

namespace tandem {
namespace {

// Small, so that the file comes in several pieces.
constexpr size_t kChunkBytes = 1024;

class TokenizerReactor
    : public grpc::ServerWriteReactor<v1::GetTokenizerResponse> {
 public:
  explicit TokenizerReactor(const std::string* image) : image_(image) {
    Next();
  }
  void OnWriteDone(bool /*ok*/) override { Next(); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (sent_ == image_->size()) return Finish(grpc::Status::OK);
    response_.set_chunk(image_->substr(sent_, kChunkBytes));
    sent_ += response_.chunk().size();
    StartWrite(&response_);
  }

  const std::string* const image_;
  size_t sent_ = 0;
  v1::GetTokenizerResponse response_;
};

}  // namespace

// Waits for the end of the worker's silence.
class FakeDescribeReactor : public grpc::ServerUnaryReactor {
 public:
  explicit FakeDescribeReactor(FakeWorkerService* service)
      : service_(service) {}
  void OnCancel() override {
    {
      const std::lock_guard<std::mutex> lock(service_->mutex_);
      if (service_->asked_.erase(this) == 0) return;
    }
    Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  FakeWorkerService* const service_;
};

// A report at once and at each change, until the client or the server ends it.
class FakeWatchReactor : public grpc::ServerWriteReactor<v1::WatchResponse> {
 public:
  explicit FakeWatchReactor(FakeWorkerService* service) : service_(service) {
    {
      const std::lock_guard<std::mutex> lock(service_->mutex_);
      service_->watchers_.insert(this);
    }
    Report();
  }
  void Report() {
    const std::lock_guard<std::mutex> lock(mutex_);
    again_ = writing_;
    if (!writing_ && !finished_) Write();
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    if (ok && !finished_ && std::exchange(again_, false)) Write();
  }
  void OnCancel() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
    Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    {
      const std::lock_guard<std::mutex> lock(service_->mutex_);
      service_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void Write() {
    response_.Clear();
    response_.set_draining(service_->draining.load());
    response_.set_models_generation(service_->models_generation.load());
    for (int i = 1; i <= service_->models.load(); ++i) AddModel(i);
    writing_ = true;
    StartWrite(&response_);
  }
  // All streams are the first model's. Rows cost little, drafting less, and i
  // times as much for model i; two of the rows are out of order.
  void AddModel(int i) {
    v1::ModelLoad& model = *response_.add_models();
    model.set_model_id(service_->ModelId(i));
    if (i == 1) model.set_streams_open(service_->streams.load());
    model.set_kv_pages_free(i == 1 ? 100000
                                   : service_->other_pages_free.load());
    model.set_kv_pages_total(100000);
    model.set_kv_page_tokens(16 * i);
    const bool is_draft = service_->options().role == v1::WORKER_ROLE_DRAFT;
    for (const int rows : {1, 4, 4, 2, 8}) {
      v1::StepCost* const cost = model.add_step_costs();
      cost->set_rows(rows);
      cost->set_step_us(i * ((is_draft ? 0 : 100) + rows));
    }
    model.set_sequences_per_step(2.5);
  }

  FakeWorkerService* const service_;
  std::mutex mutex_;
  v1::WatchResponse response_;
  bool writing_ = false;
  bool again_ = false;
  bool finished_ = false;
};

class FakeDecodeReactor
    : public grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse> {
 public:
  explicit FakeDecodeReactor(FakeWorkerService* service) : service_(service) {
    ++service_->streams;
    ++service_->opened;
    if (!service_->options().decode_status.ok()) {
      finished_ = true;
      Finish(service_->options().decode_status);
      return;
    }
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ok) return End(grpc::Status::OK);
    if (IsHeld()) return;
    Answer();
    if (!finished_) StartRead(&request_);
  }
  void OnWriteDone(bool /*ok*/) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    answers_.pop_front();
    if (!answers_.empty() && !finished_) StartWrite(&answers_.front());
  }
  void OnCancel() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    {
      const std::lock_guard<std::mutex> lock(service_->mutex_);
      service_->held_.erase(this);
    }
    --service_->streams;
    delete this;
  }

  void AnswerHeld() {
    const std::lock_guard<std::mutex> lock(mutex_);
    request_ = std::move(held_request_);
    Answer();
    if (!finished_) StartRead(&request_);
  }

 private:
  // A held request is not read past.
  bool IsHeld() {
    if (request_.has_open()) return false;
    const std::lock_guard<std::mutex> lock(service_->mutex_);
    if (!service_->hold && !service_->silent_) return false;
    held_request_ = request_;
    service_->held_.insert(this);
    return true;
  }

  void End(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  void Answer() {
    v1::DecodeResponse response;
    if (request_.has_open()) {
      const v1::OpenSequence& open = request_.open();
      {
        const std::lock_guard<std::mutex> lock(service_->mutex_);
        service_->last_open_ = open;
      }
      if (!open.fingerprint().empty() &&
          open.fingerprint() != service_->options().fingerprint) {
        return End(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                "another fingerprint"));
      }
      sequence_.emplace(
          std::vector<TokenId>(open.tokens().begin(), open.tokens().end()));
      response.mutable_opened()->set_fingerprint(
          service_->options().fingerprint);
      // Shows what it was told.
      response.mutable_opened()->set_cached_tokens(
          static_cast<int64_t>(open.tenant().size()));
      response.mutable_opened()->set_queued_us(7);
    } else if (!sequence_.has_value()) {
      return End(
          grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "no open"));
    } else if (request_.has_propose()) {
      const v1::ProposeTokens& propose = request_.propose();
      if (!Extend(propose)) return;
      auto& proposed = *response.mutable_decoded();
      proposed.set_position(static_cast<int64_t>(sequence_->tokens().size()));
      const std::vector<TokenId> ids =
          sequence_->Propose(propose.draft_length());
      proposed.mutable_token_ids()->Add(ids.begin(), ids.end());
      proposed.set_compute_us(1);
    } else {
      const v1::VerifyTokens& verify = request_.verify();
      if (!Extend(verify)) return;
      auto& verified = *response.mutable_decoded();
      const std::vector<TokenId> draft(verify.draft().begin(),
                                       verify.draft().end());
      verified.set_position(static_cast<int64_t>(sequence_->tokens().size()));
      const std::vector<TokenId> ids = sequence_->Verify(draft);
      verified.mutable_token_ids()->Add(ids.begin(), ids.end());
      verified.set_compute_us(1);
    }
    Send(std::move(response));
    if (request_.has_open() && request_.open().score_from() > 0) Score();
  }

  void Send(v1::DecodeResponse response) {
    const int fail_after = service_->fail_after;
    if (fail_after >= 0 && ++sent_ > fail_after) {
      return End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "failed"));
    }
    answers_.push_back(std::move(response));
    if (answers_.size() == 1) StartWrite(&answers_.front());
  }

  // Three at a time; not while requests are held.
  void Score() {
    if (service_->hold) return;
    const std::vector<TokenId>& tokens = sequence_->tokens();
    Position from = request_.open().score_from();
    while (from < static_cast<Position>(tokens.size()) && !finished_) {
      v1::DecodeResponse response;
      response.mutable_scored()->set_position(from);
      for (const ScoredToken& score :
           FakeScores(tokens, from, 3, request_.open().score_alternatives())) {
        *response.mutable_scored()->add_logprobs() =
            LogprobsToProto(score.token);
        response.mutable_scored()->add_is_greedy(score.is_greedy);
        ++from;
      }
      Send(std::move(response));
    }
  }

  template <typename Request>
  bool Extend(const Request& request) {
    const std::vector<TokenId> tokens(request.tokens().begin(),
                                      request.tokens().end());
    if (sequence_->Extend(request.position(), tokens)) return true;
    End(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad position"));
    return false;
  }

  FakeWorkerService* const service_;
  std::mutex mutex_;
  v1::DecodeRequest request_;
  v1::DecodeRequest held_request_;
  std::optional<FakeSequence> sequence_;
  std::deque<v1::DecodeResponse> answers_;
  int sent_ = 0;
  bool finished_ = false;
};

v1::OpenSequence FakeWorkerService::last_open() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_open_;
}

FakeWorkerService::FakeWorkerService(const FakeWorkerOptions& options)
    : models_generation(options.models_generation),
      options_(options),
      image_(FakeTokenizerImage(options.vocabulary_variant, options.fillers)) {
  const auto file = GgufFile::FromBytes(image_, "fake");
  TANDEM_CHECK(file.ok());
  const auto tokenizer = Tokenizer::FromGguf(**file);
  TANDEM_CHECK(tokenizer.ok());
  vocabulary_ = (*tokenizer)->vocabulary_fingerprint();
  vocab_size_ = (*tokenizer)->vocab_size();
}

void FakeWorkerService::Release() {
  std::set<FakeDecodeReactor*> held;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    hold = false;
    held.swap(held_);
  }
  for (FakeDecodeReactor* reactor : held) reactor->AnswerHeld();
}

// Who asked what it is asks again.
void FakeWorkerService::SetSilent(bool silent) {
  std::set<FakeDescribeReactor*> asked;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    silent_ = silent;
    asked.swap(asked_);
  }
  for (FakeDescribeReactor* reactor : asked) {
    reactor->Finish(grpc::Status(grpc::StatusCode::INTERNAL, "was silent"));
  }
  if (!silent) Release();
}

void FakeWorkerService::Report() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (silent_) return;
  for (FakeWatchReactor* watcher : watchers_) watcher->Report();
}

std::string FakeWorkerService::ModelId(int i) const {
  return i == 1 ? options_.model_id : absl::StrCat(options_.model_id, "-", i);
}

grpc::ServerUnaryReactor* FakeWorkerService::Describe(
    grpc::CallbackServerContext* context,
    const v1::DescribeRequest* /*request*/, v1::DescribeResponse* response) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (silent_) {
      auto* const waiting = new FakeDescribeReactor(this);
      asked_.insert(waiting);
      return waiting;
    }
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (loading) {
    reactor->Finish(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                 "the worker's model is loading"));
    return reactor;
  }
  response->set_version("test");
  response->set_role(options_.role);
  for (int i = 1; i <= models.load(); ++i) {
    const std::string suffix = i == 1 ? "" : absl::StrCat("-", i);
    v1::WorkerModel& model = *response->add_models();
    model.set_model_id(ModelId(i));
    model.set_fingerprint(options_.fingerprint + suffix);
    model.set_vocabulary_fingerprint(vocabulary_);
    model.set_numerics("f32");
    model.set_context_max(options_.context_max);
    model.set_vocab_size(vocab_size_);
  }
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<v1::GetTokenizerResponse>*
FakeWorkerService::GetTokenizer(grpc::CallbackServerContext* /*context*/,
                                const v1::GetTokenizerRequest* /*request*/) {
  return new TokenizerReactor(&image_);
}

grpc::ServerWriteReactor<v1::WatchResponse>* FakeWorkerService::Watch(
    grpc::CallbackServerContext* /*context*/,
    const v1::WatchRequest* /*request*/) {
  return new FakeWatchReactor(this);
}

grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>*
FakeWorkerService::Decode(grpc::CallbackServerContext* context) {
  const auto found = context->client_metadata().find("traceparent");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    last_traceparent_ =
        found == context->client_metadata().end()
            ? ""
            : std::string(found->second.data(), found->second.size());
  }
  return new FakeDecodeReactor(this);
}

std::string FakeWorkerService::last_traceparent() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_traceparent_;
}

FakeWorker::FakeWorker(const FakeWorkerOptions& options) : service_(options) {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort(options.address, grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  TANDEM_CHECK(server_ != nullptr);
  address_ = BoundAddress(options.address, port);
}

// As a process that dies: calls are cut.
FakeWorker::~FakeWorker() {
  server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace tandem
