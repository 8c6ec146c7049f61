#include "tools/load/openai_target.h"

#include <httplib.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/tools/load/recording_observer.h"

namespace tandem::load {
namespace {

using ::testing::HasSubstr;

// A server inside the test, on a port of its own.
class OpenAiTargetTest : public ::testing::Test {
 protected:
  void Serve() {
    port_ = server_.bind_to_any_port("127.0.0.1");
    ASSERT_GT(port_, 0);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
    auto target = OpenAiTarget::Create(absl::StrCat("http://127.0.0.1:", port_),
                                       CompletionOptions());
    ASSERT_TRUE(target.ok()) << target.status();
    target_ = *std::move(target);
  }

  void TearDown() override {
    target_.reset();
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  TurnOutcome RunOneTurn() {
    LoadTurn turn;
    turn.prompt = {4, 5};
    turn.output_tokens = 3;
    return RunTurn(target_->NewSession().get(), turn, &observer_);
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::unique_ptr<OpenAiTarget> target_;
  RecordingObserver observer_;
};

TEST_F(OpenAiTargetTest, StreamsATurnInWhateverChunks) {
  std::string body;
  server_.Post("/v1/completions", [&](const httplib::Request& request,
                                      httplib::Response& response) {
    body = request.body;
    response.set_chunked_content_provider(
        "text/event-stream", [](size_t, httplib::DataSink& sink) {
          const std::string stream =
              "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"
              "data: {\"choices\":[{\"text\":\"b\"}]}\n\n"
              "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}"
              "],\"usage\":{\"completion_tokens\":3}}\n\n"
              "data: [DONE]\n\n";
          for (size_t at = 0; at < stream.size(); at += 7) {
            const std::string piece = stream.substr(at, 7);
            sink.write(piece.data(), piece.size());
          }
          sink.done();
          return true;
        });
  });
  Serve();
  const TurnOutcome outcome = RunOneTurn();
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.finish_reason, "length");
  EXPECT_EQ(outcome.figures.generated_tokens, 3);
  EXPECT_EQ(observer_.events, 2);
  EXPECT_EQ(nlohmann::json::parse(body)["prompt"], nlohmann::json({4, 5}));
}

TEST_F(OpenAiTargetTest, AnErrorAnswerIsTheTurns) {
  server_.Post("/v1/completions",
               [](const httplib::Request&, httplib::Response& response) {
                 response.status = 503;
                 response.set_content(R"({"error":{"message":"loading"}})",
                                      "application/json");
               });
  Serve();
  const TurnOutcome outcome = RunOneTurn();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(outcome.status.message(), "loading");
}

TEST_F(OpenAiTargetTest, AnErrorInTheStreamIsTheTurns) {
  server_.Post("/v1/completions",
               [](const httplib::Request&, httplib::Response& response) {
                 response.set_content(
                     "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"
                     "data: {\"error\":{\"message\":\"out\",\"code\":500}}\n\n",
                     "text/event-stream");
               });
  Serve();
  const TurnOutcome outcome = RunOneTurn();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(outcome.status.message(), "out");
  EXPECT_EQ(observer_.tokens, 1);
}

TEST_F(OpenAiTargetTest, CancelEndsATurnThatRuns) {
  absl::Notification released;
  server_.Post("/v1/completions",
               [&](const httplib::Request&, httplib::Response& response) {
                 response.set_chunked_content_provider(
                     "text/event-stream", [&](size_t, httplib::DataSink& sink) {
                       const std::string piece =
                           "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
                       if (!sink.write(piece.data(), piece.size()))
                         return false;
                       return !released.WaitForNotificationWithTimeout(
                           absl::Milliseconds(1));
                     });
               });
  Serve();
  const auto session = target_->NewSession();
  LoadTurn turn;
  turn.prompt = {4};
  session->Start(turn, &observer_);
  observer_.has_tokens.WaitForNotification();
  session->Cancel();
  observer_.has_ended.WaitForNotification();
  released.Notify();
  EXPECT_EQ(observer_.outcome.status.code(), absl::StatusCode::kCancelled);
}

TEST_F(OpenAiTargetTest, AsksForTheSizeOfTheVocabulary) {
  std::string answer = R"({"data":[{"id":"m","meta":{"n_vocab":32000}}]})";
  server_.Get("/v1/models",
              [&](const httplib::Request&, httplib::Response& response) {
                response.set_content(answer, "application/json");
              });
  Serve();
  EXPECT_EQ(target_->AskVocabSize().value(), 32000);
  for (const char* other :
       {R"({"data":[{"id":"m"}]})", R"({"data":[]})", "[]", "no JSON"}) {
    answer = other;
    EXPECT_EQ(target_->AskVocabSize().status().code(),
              absl::StatusCode::kNotFound)
        << other;
  }
}

TEST(OpenAiTargetAloneTest, NobodyListensAndBadAddresses) {
  // Port 1 is nobody's in a container.
  const auto target = OpenAiTarget::Create("http://127.0.0.1:1", {});
  ASSERT_TRUE(target.ok());
  EXPECT_EQ((*target)->AskVocabSize().status().code(),
            absl::StatusCode::kUnavailable);
  RecordingObserver observer;
  const TurnOutcome outcome =
      RunTurn((*target)->NewSession().get(), LoadTurn(), &observer);
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(outcome.status.message()), HasSubstr("HTTP"));
  EXPECT_EQ(OpenAiTarget::Create("localhost:8080", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tandem::load
