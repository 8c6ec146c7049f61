// A GenerationService with one turn, whose streams end as a test says, on an
// address of its own.

#ifndef TANDEM_TESTS_SERVICES_CLIENT_FAKE_TURNS_H_
#define TANDEM_TESTS_SERVICES_CLIENT_FAKE_TURNS_H_

#include <grpcpp/server.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/client/turn_stream.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem::client {

// One stream's fate.
struct StreamScript {
  // Events that it sends; then it ends with `status`. Less than 0: all.
  int events = -1;
  grpc::Status status = grpc::Status::OK;
  bool resets = false;  // RST_STREAM in place of the status
  // Added to the first_token of the stream's tokens.
  int token_shift = 0;
};

class FakeTurns final : public v1::GenerationService::Service {
 public:
  static constexpr int kTokens = 6;

  explicit FakeTurns(const std::string& address = "127.0.0.1:0");
  ~FakeTurns() override;

  const std::string& address() const { return address_; }

  // Before the streams that they are for.
  void Expect(std::deque<StreamScript> scripts);
  int64_t turn_number = 1;
  bool waits_for_cancel = false;  // after the tokens
  int text_bytes = 3;             // of each token, which come one event late
  int prompt_tokens = 0;          // that have log-probabilities, one an event

  // The first messages of all streams.
  std::vector<v1::ConverseRequest> firsts() const;
  // Events that were written, of all streams.
  int written() const;
  // Streams whose client went.
  int left() const;
  // The authorization header of the last call; empty: none.
  std::string authorization() const;
  // The turn's text.
  std::string Text() const;

 private:
  using Stream =
      grpc::ServerReaderWriter<v1::ConverseResponse, v1::ConverseRequest>;

  grpc::Status Converse(grpc::ServerContext* context, Stream* stream) override;
  grpc::Status Tokenize(grpc::ServerContext* context,
                        const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override;
  StreamScript NoteStream(const grpc::ServerContext& context,
                          const v1::ConverseRequest& first);
  // The events that follow what the client has.
  std::vector<v1::ConverseResponse> EventsAfter(
      const v1::ResumeRequest& has) const;

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  mutable absl::Mutex mutex_;
  std::deque<StreamScript> scripts_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ConverseRequest> firsts_ ABSL_GUARDED_BY(mutex_);
  int written_ ABSL_GUARDED_BY(mutex_) = 0;
  int left_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string authorization_ ABSL_GUARDED_BY(mutex_);
};

// What came of a turn until its stream was over.
struct Received {
  int started = 0;
  std::vector<int32_t> tokens;
  std::string text;
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  absl::Status error;
};

// Reads at most `events` events.
Received ReadAll(TurnStream* stream, int events = 1 << 20);

}  // namespace tandem::client

#endif  // TANDEM_TESTS_SERVICES_CLIENT_FAKE_TURNS_H_
