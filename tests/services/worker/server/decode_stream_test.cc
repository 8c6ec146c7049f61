#include "services/worker/server/decode_stream.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

#include "engine/base/error_reason.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "tests/services/worker/decoder_alone.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

using DecodeStreamTest = WorkerFixture;

TEST_F(DecodeStreamTest, ProposesAsTheDecoderAlone) {
  Start(v1::WORKER_ROLE_DRAFT);
  const std::vector<TokenId> prompt = {1, 3, 4, 5};
  DecoderAlone alone(std::make_unique<FakeEngine>(),
                     OpenRequestOptions(prompt));
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest(prompt)));
  const auto opened = call.Read();
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->opened().fingerprint(), "fake-fingerprint");
  for (int k = 1; k <= 16; k *= 2) {
    ASSERT_TRUE(call.Write(ProposeRequest(3, {5}, k)));
    const auto response = call.Read();
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->decoded().position(), 4);
    EXPECT_EQ(Ids(response->decoded()), Ids(alone.Propose(3, {5}, k)));
  }
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Finish().ok());
}

// The second stream of a tenant begins with what the first has left; another
// tenant's does not.
TEST_F(DecodeStreamTest, TellsWhatWasKeptOfTheTenantsTokens) {
  Start(v1::WORKER_ROLE_TARGET, {.kept_page_tokens = 2});
  const std::vector<TokenId> prompt = {1, 3, 4, 5, 6};
  std::vector<std::vector<TokenId>> answers;
  const std::pair<std::string, int64_t> cases[] = {
      {"a", 0}, {"b", 0}, {"a", 4}, {"b", 4}, {"", 0}};
  for (const auto& [tenant, cached] : cases) {
    DecodeCall call(stub_.get());
    v1::DecodeRequest open = OpenRequest(prompt);
    open.mutable_open()->set_tenant(tenant);
    ASSERT_TRUE(call.Write(open));
    const auto opened = call.Read();
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->opened().cached_tokens(), cached);
    ASSERT_TRUE(call.Write(VerifyRequest(4, {6}, {})));
    const auto verified = call.Read();
    ASSERT_TRUE(verified.has_value());
    answers.push_back(Ids(verified->decoded()));
    EXPECT_EQ(answers.back(), answers.front());
    ASSERT_TRUE(call.WritesDone());
    EXPECT_TRUE(call.Finish().ok());
    WaitForLoad([](const v1::WatchResponse& report) {
      return report.models(0).streams_open() == 0;
    });
  }
}

TEST_F(DecodeStreamTest, VerifiesAsTheDecoderAlone) {
  Start(v1::WORKER_ROLE_TARGET);
  const std::vector<TokenId> prompt = {1, 3, 4, 5};
  DecoderAlone alone(std::make_unique<FakeEngine>(),
                     OpenRequestOptions(prompt));
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest(prompt)));
  ASSERT_TRUE(call.Read().has_value());
  Position position = 3;
  TokenId last = 5;
  // Right ids, wrong ids, ids out of range, too many, none.
  std::vector<TokenId> draft = {};
  for (int round = 0; round < 12; ++round) {
    ASSERT_TRUE(call.Write(VerifyRequest(position, {last}, draft)));
    const auto response = call.Read();
    ASSERT_TRUE(response.has_value());
    const v1::DecodedTokens& verified = response->decoded();
    const std::vector<SampledToken> expected =
        alone.Verify(position, {last}, draft);
    EXPECT_EQ(verified.position(), position + 1);
    ASSERT_EQ(Ids(verified), Ids(expected));
    ASSERT_EQ(verified.logprobs_size(), verified.token_ids_size());
    for (int i = 0; i < verified.logprobs_size(); ++i) {
      EXPECT_EQ(
          SampledTokenFromProto(verified.token_ids(i), verified.logprobs(i)),
          expected[i]);
    }
    position += static_cast<Position>(expected.size());
    last = expected.back().id;
    switch (round % 4) {
      case 0:
        draft = {3, 4, 5};
        break;
      case 1:
        draft = {-1, 3};
        break;
      case 2:
        draft = std::vector<TokenId>(40, 9);
        break;
      default:
        draft = {99};
    }
  }
}

TEST_F(DecodeStreamTest, NoLogprobsUnlessAskedFor) {
  Start(v1::WORKER_ROLE_TARGET);
  DecodeCall call(stub_.get());
  v1::DecodeRequest open = OpenRequest({1, 3});
  open.mutable_open()->mutable_options()->clear_logprobs();
  ASSERT_TRUE(call.Write(open));
  ASSERT_TRUE(call.Write(VerifyRequest(1, {3}, {4})));
  ASSERT_TRUE(call.Read().has_value());
  const auto response = call.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_GE(response->decoded().token_ids_size(), 1);
  EXPECT_EQ(response->decoded().logprobs_size(), 0);
}

TEST_F(DecodeStreamTest, HalfCloseStillAnswersWhatWasAsked) {
  Start(v1::WORKER_ROLE_DRAFT);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
  ASSERT_TRUE(call.Write(ProposeRequest(1, {3}, 4)));
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Read().has_value());
  const auto proposed = call.Read();
  ASSERT_TRUE(proposed.has_value());
  EXPECT_EQ(proposed->decoded().token_ids_size(), 4);
  EXPECT_FALSE(call.Read().has_value());
  EXPECT_TRUE(call.Finish().ok());
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

TEST_F(DecodeStreamTest, EmptyStreamEndsWell) {
  Start(v1::WORKER_ROLE_DRAFT);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(DecodeStreamTest, WrongOrder) {
  Start(v1::WORKER_ROLE_TARGET);
  {
    DecodeCall call(stub_.get());
    call.Write(VerifyRequest(1, {3}, {}));
    // Before an open there is no room for any token either.
    EXPECT_FALSE(call.Finish().ok());
  }
  {
    DecodeCall call(stub_.get());
    call.Write(OpenRequest({1, 3}));
    call.Write(OpenRequest({1, 3}));
    ExpectEnd(&call, grpc::StatusCode::FAILED_PRECONDITION, kReasonWrongState);
  }
  {
    DecodeCall call(stub_.get());
    call.Write(OpenRequest({1, 3}));
    call.Write(ProposeRequest(1, {3}, 1));
    ExpectEnd(&call, grpc::StatusCode::FAILED_PRECONDITION, kReasonWrongState);
  }
  {
    DecodeCall call(stub_.get());
    call.Write(OpenRequest({1, 3}));
    call.Write(VerifyRequest(7, {3}, {}));  // above the known tokens
    ExpectEnd(&call, grpc::StatusCode::FAILED_PRECONDITION, kReasonWrongState);
  }
  {
    DecodeCall call(stub_.get());
    call.Write(v1::DecodeRequest());
    ExpectEnd(&call, grpc::StatusCode::INVALID_ARGUMENT, "");
  }
  {
    DecodeCall call(stub_.get());
    call.Write(OpenRequest({1, 3}));
    call.Write(VerifyRequest(1, {99}, {}));
    ExpectEnd(&call, grpc::StatusCode::INVALID_ARGUMENT, kReasonInvalidToken);
  }
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

TEST_F(DecodeStreamTest, FirstMessageMustBeOpen) {
  Start(v1::WORKER_ROLE_TARGET);
  DecodeCall call(stub_.get());
  call.Write(VerifyRequest(0, {3}, {}));
  ExpectEnd(&call, grpc::StatusCode::FAILED_PRECONDITION, kReasonWrongState);
}

TEST_F(DecodeStreamTest, NoRoomSaysWhenToTryAgain) {
  Start(v1::WORKER_ROLE_TARGET, {.sequences_max = 1});
  DecodeCall first(stub_.get());
  ASSERT_TRUE(first.Write(OpenRequest({1, 3})));
  ASSERT_TRUE(first.Read().has_value());
  DecodeCall second(stub_.get());
  second.Write(OpenRequest({1, 3}));
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  bool has_retry = false;
  for (const google::protobuf::Any& any : details.details()) {
    has_retry = has_retry || any.Is<google::rpc::RetryInfo>();
  }
  EXPECT_TRUE(has_retry);
}

v1::DecodeRequest PatientOpen(int queue_timeout_ms) {
  v1::DecodeRequest request = OpenRequest({1, 3});
  request.mutable_open()->set_queue_timeout_ms(queue_timeout_ms);
  return request;
}

TEST_F(DecodeStreamTest, WaitsForRoomAndTellsHowLong) {
  Start(v1::WORKER_ROLE_TARGET, {.sequences_max = 1});
  DecodeCall first(stub_.get());
  ASSERT_TRUE(first.Write(OpenRequest({1, 3})));
  const auto opened = first.Read();
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->opened().queued_us(), 0);
  DecodeCall second(stub_.get());
  ASSERT_TRUE(second.Write(PatientOpen(kCallSecondsMax * 1000)));
  ASSERT_TRUE(second.Write(VerifyRequest(1, {3}, {})));
  WaitForLoad([](const auto& load) {
    return load.models(0).streams_queued() == 1 &&
           load.models(0).streams_open() == 2;
  });
  ASSERT_TRUE(first.WritesDone());
  EXPECT_TRUE(first.Finish().ok());
  const auto waited = second.Read();
  ASSERT_TRUE(waited.has_value());
  EXPECT_GT(waited->opened().queued_us(), 0);
  EXPECT_TRUE(second.Read()->has_decoded());
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_queued() == 0; });
}

TEST_F(DecodeStreamTest, WhoIsGoneLeavesTheQueue) {
  Start(v1::WORKER_ROLE_TARGET, {.sequences_max = 1});
  DecodeCall holder(stub_.get());
  ASSERT_TRUE(holder.Write(OpenRequest({1, 3})));
  ASSERT_TRUE(holder.Read().has_value());
  {
    DecodeCall waiter(stub_.get());
    ASSERT_TRUE(waiter.Write(PatientOpen(kCallSecondsMax * 1000)));
    WaitForLoad(
        [](const auto& load) { return load.models(0).streams_queued() == 1; });
  }  // cancelled
  WaitForLoad([](const auto& load) {
    return load.models(0).streams_queued() == 0 &&
           load.models(0).streams_open() == 1;
  });
  // The call's own deadline ends the wait as well.
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(300));
  auto stream = stub_->Decode(&context);
  stream->Write(PatientOpen(kCallSecondsMax * 1000));
  v1::DecodeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitForLoad([](const auto& load) {
    return load.models(0).streams_queued() == 0 &&
           load.models(0).streams_open() == 1;
  });
  // And the time that it gave.
  DecodeCall waiter(stub_.get());
  ASSERT_TRUE(waiter.Write(PatientOpen(50)));
  ExpectEnd(&waiter, grpc::StatusCode::RESOURCE_EXHAUSTED, kReasonExhausted);
}

TEST_F(DecodeStreamTest, CancelFreesTheSequence) {
  Start(v1::WORKER_ROLE_DRAFT, {.sequences_max = 4});
  {
    DecodeCall call(stub_.get());
    ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
    ASSERT_TRUE(call.Read().has_value());
    engine_->ShutGate();
    ASSERT_TRUE(call.Write(ProposeRequest(1, {3}, 16)));
    engine_->WaitForStep();
    call.Cancel();
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_EQ(engine_->open_sequences(), 1) << "in the middle of a Step";
    engine_->OpenGate();
  }
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

TEST_F(DecodeStreamTest, LostConnectionFreesTheSequence) {
  Start(v1::WORKER_ROLE_DRAFT);
  auto other_stub = NewStub();
  auto context = std::make_unique<grpc::ClientContext>();
  auto stream = other_stub->Decode(context.get());
  ASSERT_TRUE(stream->Write(OpenRequest({1, 3})));
  v1::DecodeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 1; });
  stream.reset();  // without a Finish: the call is dropped
  context.reset();
  other_stub.reset();
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

TEST_F(DecodeStreamTest, DeadlineFreesTheSequence) {
  Start(v1::WORKER_ROLE_DRAFT);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(300));
  auto stream = stub_->Decode(&context);
  stream->Write(OpenRequest({1, 3}));
  v1::DecodeResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

TEST_F(DecodeStreamTest, SlowReaderIsBounded) {
  Start(v1::WORKER_ROLE_DRAFT);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
  engine_->ShutGate();
  // The worker takes kStreamRequestsMax requests and reads no more.
  constexpr int kRequests = 200;
  std::thread writer([&call] {
    for (int i = 0; i < kRequests; ++i) {
      EXPECT_TRUE(call.Write(ProposeRequest(1, {3}, 1)));
    }
    EXPECT_TRUE(call.WritesDone());
  });
  WaitForLoad([](const auto& load) {
    EXPECT_LE(load.models(0).requests_pending(), kStreamRequestsMax);
    return load.models(0).requests_pending() >= kStreamRequestsMax - 1;
  });
  engine_->OpenGate();
  int answers = 0;
  while (const auto response = call.Read()) {
    if (response->has_decoded()) ++answers;
  }
  writer.join();
  EXPECT_EQ(answers, kRequests);
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(DecodeStreamTest, TwoHundredStreamsAtOnce) {
  constexpr int kStreams = 200;
  Start(v1::WORKER_ROLE_TARGET, {.rows_max = 256, .sequences_max = kStreams});
  const std::vector<TokenId> prompt = {1, 3, 4};
  DecoderAlone alone(std::make_unique<FakeEngine>(),
                     OpenRequestOptions(prompt));
  const std::vector<TokenId> expected = Ids(alone.Verify(2, {4}, {5, 6}));
  std::vector<std::unique_ptr<DecodeCall>> calls;
  for (int i = 0; i < kStreams; ++i) {
    calls.push_back(std::make_unique<DecodeCall>(stub_.get()));
    ASSERT_TRUE(calls.back()->Write(OpenRequest(prompt)));
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& call : calls) {
      ASSERT_TRUE(call->Write(VerifyRequest(2, {4}, {5, 6})));
    }
    for (const auto& call : calls) {
      if (round == 0) {
        const auto opened = call->Read();
        ASSERT_TRUE(opened.has_value());
        EXPECT_TRUE(opened->has_opened());
      }
      const auto response = call->Read();
      ASSERT_TRUE(response.has_value());
      EXPECT_EQ(Ids(response->decoded()), expected);
    }
  }
  EXPECT_EQ(engine_->open_sequences(), kStreams);
  calls.clear();
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

// A pseudo-random message: right, nearly right and absurd values.
class Garbage {
 public:
  explicit Garbage(uint64_t seed) : state_(seed) {}

  v1::DecodeRequest Next() {
    v1::DecodeRequest request;
    if (Below(2) == 0) request = OpenRequest({1, 3, 4});
    if (request.has_open() && Below(4) == 0) {
      request.mutable_open()->set_session_id(std::string(Below(400), 'x'));
      request.mutable_open()->set_turn(Number());
    }
    switch (Below(8)) {
      case 0:
        FillOpen(request.mutable_open());
        break;
      case 1:
      case 2:
        request.mutable_propose()->set_position(Number());
        AddIds(request.mutable_propose()->mutable_tokens());
        request.mutable_propose()->set_draft_length(static_cast<int>(Number()));
        break;
      case 3:
      case 4:
        request.mutable_verify()->set_position(Number());
        AddIds(request.mutable_verify()->mutable_tokens());
        AddIds(request.mutable_verify()->mutable_draft());
        break;
      case 5:
        request = VerifyRequest(2, {4}, {5});
        break;
      case 6:
        request.clear_request();
        break;
      default:
        break;
    }
    return request;
  }

  uint64_t Below(uint64_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 20) % limit;
  }

 private:
  int64_t Number() {
    switch (Below(8)) {
      case 0:
        return std::numeric_limits<int64_t>::max();
      case 1:
        return std::numeric_limits<int64_t>::min();
      case 2:
        return -1;
      default:
        return static_cast<int64_t>(Below(20));
    }
  }
  void AddIds(google::protobuf::RepeatedField<int32_t>* ids) {
    const uint64_t count = Below(4) == 0 ? Below(2000) : Below(5);
    for (uint64_t i = 0; i < count; ++i) {
      ids->Add(Below(8) == 0 ? static_cast<int32_t>(Number())
                             : static_cast<int32_t>(Below(kFakeVocabSize)));
    }
  }
  void FillOpen(v1::OpenSequence* open) {
    if (Below(2) == 0) AddIds(open->mutable_tokens());
    if (Below(2) == 0) open->set_generated_from(Number());
    if (Below(2) == 0) open->set_tokens_max(Number());
    if (Below(8) == 0) open->set_model_id(std::string(Below(1000), 'm'));
    if (Below(2) == 0) {
      v1::GenerationOptions* options = open->mutable_options();
      options->set_seed(Below(UINT64_MAX));
      options->set_temperature(static_cast<float>(Number()));
      options->set_top_p(static_cast<float>(Number()));
      options->set_top_k(static_cast<int>(Number()));
      options->set_logprobs(static_cast<int>(Number()));
      options->add_stop_strings(std::string(Below(400), '\n'));
    }
  }

  uint64_t state_;
};

TEST_F(DecodeStreamTest, GarbageNeverCrashesOrHangs) {
  Start(v1::WORKER_ROLE_TARGET, {.sequences_max = 4});
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Garbage garbage(seed);
    DecodeCall call(stub_.get());
    if (garbage.Below(2) == 0) call.Write(OpenRequest({1, 3, 4}));
    const uint64_t messages = garbage.Below(6);
    for (uint64_t i = 0; i < messages; ++i) {
      if (!call.Write(garbage.Next())) break;
    }
    if (garbage.Below(4) == 0) {
      call.Cancel();
    } else {
      call.WritesDone();
    }
    const grpc::Status status = call.Finish();
    EXPECT_NE(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  WaitForLoad([](const auto& load) {
    return load.models(0).streams_open() == 0 &&
           load.models(0).requests_pending() == 0;
  });
  EXPECT_EQ(engine_->open_sequences(), 0);
  // And it still works.
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
  ASSERT_TRUE(call.Write(VerifyRequest(1, {3}, {})));
  ASSERT_TRUE(call.Read().has_value());
  EXPECT_TRUE(call.Read().has_value());
}

TEST_F(DecodeStreamTest, DrainingTakesNoNewSequence) {
  Start(v1::WORKER_ROLE_DRAFT);
  DecodeCall running(stub_.get());
  ASSERT_TRUE(running.Write(OpenRequest({1, 3})));
  ASSERT_TRUE(running.Read().has_value());
  service_.StartDraining();
  EXPECT_FALSE(service_.WaitForStreams(absl::ZeroDuration()));
  DecodeCall late(stub_.get());
  late.Write(OpenRequest({1, 3}));
  ExpectEnd(&late, grpc::StatusCode::UNAVAILABLE, kReasonDraining);
  // The running one goes on to its end.
  ASSERT_TRUE(running.Write(ProposeRequest(1, {3}, 4)));
  EXPECT_TRUE(running.Read().has_value());
  ASSERT_TRUE(running.WritesDone());
  EXPECT_TRUE(running.Finish().ok());
  EXPECT_TRUE(service_.WaitForStreams(absl::Seconds(kCallSecondsMax)));
}

}  // namespace
}  // namespace tandem
