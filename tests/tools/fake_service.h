// A coordinator's services that answer by a script, on a port of their own: the
// command line is tested against them without a model.

#ifndef TANDEM_TESTS_TOOLS_FAKE_SERVICE_H_
#define TANDEM_TESTS_TOOLS_FAKE_SERVICE_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server.h"
#include "tandem/v1/coordinator_admin.grpc.pb.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem::cli {

class FakeService final : public v1::GenerationService::Service {
 public:
  FakeService();
  ~FakeService() override;

  // "127.0.0.1:PORT"
  const std::string& address() const { return address_; }
  void SetServing(const std::string& service, bool serving);

  // Set before the call that they are for.
  absl::Status error;                                  // returned where not OK
  std::atomic<int> errors_max = 1 << 30;               // turns that get it
  std::vector<std::string> texts = {"Once", " upon"};  // one token each
  std::string held_back;                               // text of `ended`
  std::vector<v1::ReplyDelta> replies;  // of `texts`' events, in order
  bool wait_for_cancel = false;         // after the tokens
  bool end_early = false;               // OK without `ended`
  int64_t turn_number = 3;              // in its session
  v1::GetStatusResponse status;         // of GetStatus
  // Of ListSessions: the page token of each is its index.
  std::vector<v1::ListSessionsResponse> session_pages;
  v1::ShowSessionResponse session;  // of ShowSession
  bool forgets_sessions = false;    // UNKNOWN_SESSION for turns of one
  bool has_chat_template = true;    // the model
  int accepted_tokens = 0;          // of each token's round: 0 or 1
  // Of the prompt, that have scores where they are asked for; prompts have 5.
  int scored_tokens = 3;
  // Turns that are not cancelled have receipts; their prompts' ids are the
  // texts' bytes.
  bool gives_receipts = false;
  std::string fingerprint = "f00d";

  v1::TurnRequest last_turn() const;
  // In the order in which they came. Token i of choice c is 1000 c + 100 + i.
  std::vector<v1::TurnRequest> turns() const;
  v1::TokenizeRequest last_tokenize() const;
  v1::DetokenizeRequest last_detokenize() const;
  std::vector<v1::ScoreRequest> scored() const;
  v1::ListSessionsRequest last_list() const;
  v1::DeleteSessionRequest last_delete() const;
  // The authorization header of the last call; empty: none.
  std::string last_authorization() const;

 private:
  using Stream =
      grpc::ServerReaderWriter<v1::ConverseResponse, v1::ConverseRequest>;

  grpc::Status Converse(grpc::ServerContext* context, Stream* stream) override;
  grpc::Status Tokenize(grpc::ServerContext* context,
                        const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override;
  grpc::Status Detokenize(grpc::ServerContext* context,
                          const v1::DetokenizeRequest* request,
                          v1::DetokenizeResponse* response) override;
  // A character is a token, of probability 1 / 4; of a continuation that begins
  // with "a" each is the most probable one.
  grpc::Status Score(grpc::ServerContext* context,
                     const v1::ScoreRequest* request,
                     v1::ScoreResponse* response) override;
  grpc::Status ListModels(grpc::ServerContext* context,
                          const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;
  class Admin final : public v1::CoordinatorAdminService::Service {
   public:
    explicit Admin(FakeService* fake) : fake_(fake) {}
    grpc::Status GetStatus(grpc::ServerContext* context,
                           const v1::GetStatusRequest* request,
                           v1::GetStatusResponse* response) override;
    grpc::Status ListSessions(grpc::ServerContext* context,
                              const v1::ListSessionsRequest* request,
                              v1::ListSessionsResponse* response) override;
    grpc::Status ShowSession(grpc::ServerContext* context,
                             const v1::ShowSessionRequest* request,
                             v1::ShowSessionResponse* response) override;
    grpc::Status DeleteSession(grpc::ServerContext* context,
                               const v1::DeleteSessionRequest* request,
                               v1::DeleteSessionResponse* response) override;

   private:
    FakeService* const fake_;
  };
  void NoteAuthorization(const grpc::ServerContext& context);
  v1::Receipt ReceiptOf(const v1::TurnRequest& turn) const;
  // The scores of tokens of the prompt before, where they are asked for.
  void SendTokens(const v1::TurnRequest& turn, Stream* stream);

  Admin admin_{this};
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  mutable absl::Mutex mutex_;
  std::vector<v1::TurnRequest> turns_ ABSL_GUARDED_BY(mutex_);
  v1::TokenizeRequest last_tokenize_ ABSL_GUARDED_BY(mutex_);
  v1::DetokenizeRequest last_detokenize_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ScoreRequest> scored_ ABSL_GUARDED_BY(mutex_);
  v1::ListSessionsRequest last_list_ ABSL_GUARDED_BY(mutex_);
  v1::DeleteSessionRequest last_delete_ ABSL_GUARDED_BY(mutex_);
  std::string last_authorization_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::cli

#endif  // TANDEM_TESTS_TOOLS_FAKE_SERVICE_H_
