// Conversations over real processes: turns, cancel, resume.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/system/cluster.h"

namespace tandem::testing {
namespace {

// One Converse stream.
class Conversation {
 public:
  explicit Conversation(Cluster* cluster) {
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::minutes(2));
    stream_ = cluster->stub().Converse(&context_);
  }

  bool Start(const v1::TurnRequest& turn) {
    v1::ConverseRequest request;
    *request.mutable_start() = turn;
    return stream_->Write(request);
  }

  bool Cancel() {
    v1::ConverseRequest request;
    request.mutable_cancel();
    return stream_->Write(request);
  }

  bool Resume(const TurnResult& received) {
    v1::ConverseRequest request;
    v1::ResumeRequest* resume = request.mutable_resume();
    resume->set_session_id(received.session_id);
    resume->set_turn(received.turn);
    resume->set_tokens_received(
        static_cast<int64_t>(received.token_ids.size()));
    resume->set_text_bytes_received(static_cast<int64_t>(received.text.size()));
    return stream_->Write(request);
  }

  // Events until the turn ends, or until `tokens` have come.
  void Read(TurnResult* result, size_t tokens = SIZE_MAX) {
    v1::ConverseResponse response;
    while (!result->ended && result->token_ids.size() < tokens &&
           stream_->Read(&response)) {
      AddEvent(response, result);
    }
  }

  // As a lost connection does.
  void Drop() {
    context_.TryCancel();
    stream_->Finish();
  }

  grpc::Status Finish() {
    stream_->WritesDone();
    v1::ConverseResponse response;
    while (stream_->Read(&response)) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::ConverseRequest, v1::ConverseResponse>>
      stream_;
};

v1::TurnRequest MakeTurn(const std::string& text, int max_tokens) {
  v1::TurnRequest turn;
  turn.set_text(text);
  turn.mutable_options()->set_seed(5);
  turn.mutable_options()->set_max_tokens(max_tokens);
  return turn;
}

class ConverseTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>(Cluster::Options{});
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  // All tokens of a session, as a worker would have them after these turns.
  static std::vector<int32_t> Tokenize(const std::string& text, bool bos) {
    grpc::ClientContext context;
    v1::TokenizeRequest request;
    request.set_text(text);
    request.set_add_bos(bos);
    v1::TokenizeResponse response;
    EXPECT_TRUE(cluster_->stub().Tokenize(&context, request, &response).ok());
    return {response.token_ids().begin(), response.token_ids().end()};
  }

  static std::unique_ptr<Cluster> cluster_;
};

std::unique_ptr<Cluster> ConverseTest::cluster_;

TEST_F(ConverseTest, TwoTurnsACancelAndAThird) {
  Conversation conversation(cluster_.get());
  TurnResult first;
  ASSERT_TRUE(conversation.Start(MakeTurn("Once upon a time", 20)));
  conversation.Read(&first);
  ASSERT_TRUE(first.ended);
  EXPECT_EQ(first.token_ids.size(), 20u);
  EXPECT_EQ(first.turn, 1);

  TurnResult second;
  v1::TurnRequest turn = MakeTurn(" The king said", 900);
  turn.set_session_id(first.session_id);
  ASSERT_TRUE(conversation.Start(turn));
  conversation.Read(&second, 5);
  ASSERT_FALSE(second.ended);
  ASSERT_TRUE(conversation.Cancel());
  conversation.Read(&second);
  ASSERT_TRUE(second.ended);
  EXPECT_EQ(second.end.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_GE(second.token_ids.size(), 5u);
  EXPECT_LT(second.token_ids.size(), 900u);
  EXPECT_EQ(second.turn, 2);
  EXPECT_EQ(second.end.usage().generated_tokens(),
            static_cast<int64_t>(second.token_ids.size()));

  TurnResult third;
  turn = MakeTurn(" And then", 20);
  turn.set_session_id(first.session_id);
  ASSERT_TRUE(conversation.Start(turn));
  conversation.Read(&third);
  ASSERT_TRUE(third.ended);
  EXPECT_EQ(third.turn, 3);
  EXPECT_TRUE(conversation.Finish().ok());

  // The third turn's history is exactly what came before: the same tokens as
  // one prompt in a new session give the same answer.
  std::vector<int32_t> history = Tokenize("Once upon a time", true);
  const auto append = [&history](const std::vector<int32_t>& ids) {
    history.insert(history.end(), ids.begin(), ids.end());
  };
  append(first.token_ids);
  append(Tokenize(" The king said", false));
  append(second.token_ids);
  append(Tokenize(" And then", false));
  EXPECT_EQ(third.end.usage().prompt_tokens(),
            static_cast<int64_t>(history.size()));
  v1::TurnRequest whole;
  *whole.mutable_options() = turn.options();
  for (const int32_t id : history) whole.mutable_tokens()->add_ids(id);
  const TurnResult fresh = cluster_->Generate(whole);
  ASSERT_TRUE(fresh.status.ok()) << fresh.status.error_message();
  EXPECT_EQ(fresh.token_ids, third.token_ids);
  EXPECT_EQ(fresh.text, third.text);
}

TEST_F(ConverseTest, ResumesByTokenCountAfterALostConnection) {
  const v1::TurnRequest turn = MakeTurn("The old witch", 120);
  const TurnResult plain = cluster_->Generate(turn);
  ASSERT_TRUE(plain.ended);
  for (const size_t received : {0, 1, 7, 50}) {
    SCOPED_TRACE(received);
    TurnResult result;
    {
      Conversation conversation(cluster_.get());
      ASSERT_TRUE(conversation.Start(turn));
      conversation.Read(&result, received);
      if (received == 0) {
        // The session id comes with `started`.
        conversation.Read(&result, 1);
        result.token_ids.clear();
        result.text.clear();
      }
      conversation.Drop();
    }
    ASSERT_FALSE(result.ended);
    Conversation conversation(cluster_.get());
    ASSERT_TRUE(conversation.Resume(result));
    conversation.Read(&result);
    ASSERT_TRUE(result.ended);
    EXPECT_TRUE(result.contiguous);
    EXPECT_TRUE(conversation.Finish().ok());
    EXPECT_EQ(result.token_ids, plain.token_ids);
    EXPECT_EQ(result.text, plain.text);

    // Once more, from the start, now that the turn is over.
    TurnResult again;
    again.session_id = result.session_id;
    again.turn = result.turn;
    Conversation replay(cluster_.get());
    ASSERT_TRUE(replay.Resume(again));
    replay.Read(&again);
    ASSERT_TRUE(again.ended);
    EXPECT_EQ(again.token_ids, plain.token_ids);
    EXPECT_EQ(again.text, plain.text);
    EXPECT_EQ(again.end.finish_reason(), plain.end.finish_reason());
    EXPECT_TRUE(replay.Finish().ok());
  }
}

TEST_F(ConverseTest, AStopStringEndsTheTurnOnTheSameTokenForEveryDraftLength) {
  std::vector<int32_t> ids;
  std::string text;
  for (const int draft_length : {0, 1, 4, 16}) {
    v1::TurnRequest turn = MakeTurn("Once upon a time there was", 200);
    turn.mutable_options()->add_stop_strings(", and");
    turn.mutable_options()->set_draft_length(draft_length);
    const TurnResult result = cluster_->Generate(turn);
    ASSERT_TRUE(result.ended);
    EXPECT_EQ(result.end.finish_reason(), v1::FINISH_REASON_STOP_STRING);
    EXPECT_EQ(result.text.find(", and"), std::string::npos);
    if (draft_length == 0) {
      ids = result.token_ids;
      text = result.text;
    }
    EXPECT_EQ(result.token_ids, ids);
    EXPECT_EQ(result.text, text);
  }
}

}  // namespace
}  // namespace tandem::testing
