#include <httplib.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/tools/load/recording_observer.h"
#include "tools/load/load_target.h"

namespace tandem::load {
namespace {

using ::testing::HasSubstr;

// A server inside the test, on a port of its own, that answers turns with
// `status_` and `answer_`.
class OpenAiTargetTest : public ::testing::Test {
 protected:
  void Serve() {
    server_.Post("/v1/completions", [this](const httplib::Request& request,
                                           httplib::Response& response) {
      body_ = request.body;
      response.status = status_;
      // In small pieces.
      response.set_chunked_content_provider(
          "text/event-stream", [this](size_t, httplib::DataSink& sink) {
            for (size_t at = 0; at < answer_.size(); at += 7) {
              const std::string piece = answer_.substr(at, 7);
              sink.write(piece.data(), piece.size());
            }
            sink.done();
            return true;
          });
    });
    Listen();
  }

  void Listen() {
    const int port = server_.bind_to_any_port("127.0.0.1");
    ASSERT_GT(port, 0);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
    auto target =
        MakeOpenAiTarget(absl::StrCat("http://127.0.0.1:", port), common_);
    ASSERT_TRUE(target.ok()) << target.status();
    target_ = *std::move(target);
  }

  void TearDown() override {
    target_.reset();
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  // A turn whose answer is `answer`.
  TurnOutcome Answered(const std::string& answer) {
    answer_ = answer;
    LoadTurn turn;
    turn.prompt = {4, 5};
    turn.output_tokens = 3;
    turn.seed = ~uint64_t{0};
    RecordingObserver observer;
    const TurnOutcome outcome =
        RunTurn(target_->NewSession().get(), turn, &observer);
    tokens_ = observer.tokens;
    events_ = observer.events;
    return outcome;
  }

  v1::TurnRequest common_;
  int status_ = 200;
  std::string answer_;
  std::string body_;
  int64_t tokens_ = 0;
  int events_ = 0;
  httplib::Server server_;
  std::thread thread_;
  std::unique_ptr<LoadTarget> target_;
};

TEST_F(OpenAiTargetTest, CountsTokensByEventAndByIds) {
  Serve();
  const TurnOutcome outcome = Answered(
      ": a comment\n"
      "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}\n\n"
      "data: {\"choices\":[{\"text\":\"bc\",\"tokens\":[5,6,7]}]}\r\n\r\n"
      "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n"
      "data: [DONE]\n\n");
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.finish_reason, "length");
  EXPECT_EQ(outcome.usage.generated_tokens(), 4);
  EXPECT_EQ(outcome.speculation.rounds(), 0);
  EXPECT_EQ(tokens_, 4);
  EXPECT_EQ(events_, 2);
}

TEST_F(OpenAiTargetTest, TakesUsageAndTimings) {
  Serve();
  const TurnOutcome outcome = Answered(
      "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"
      "data: {\"choices\":[],\"usage\":{\"completion_tokens\":9,"
      "\"prompt_tokens_details\":{\"cached_tokens\":3}},"
      "\"timings\":{\"draft_n\":8,\"draft_n_accepted\":6}}\n\n"
      "data: [DONE]\n\n");
  EXPECT_EQ(outcome.finish_reason, "none");
  EXPECT_EQ(outcome.usage.generated_tokens(), 9);
  EXPECT_EQ(outcome.usage.cached_prompt_tokens(), 3);
  EXPECT_EQ(outcome.speculation.drafted_tokens(), 8);
  EXPECT_EQ(outcome.speculation.accepted_tokens(), 6);
}

TEST_F(OpenAiTargetTest, ErrorsInTheStreamAreTheTurns) {
  Serve();
  const absl::Status reported =
      Answered(
          "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"
          "data: {\"error\":{\"code\":503,\"message\":\"loading\"}}\n\n")
          .status;
  EXPECT_EQ(reported.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(reported.message()), HasSubstr("503 loading"));
  EXPECT_EQ(tokens_, 1);
  for (const char* broken :
       {"data: {\n\n", "data: 7\n\n", "data: {\"error\":\"bad\"}\n\n",
        "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", ""}) {
    EXPECT_EQ(Answered(broken).status.code(), absl::StatusCode::kInternal)
        << broken;
  }
  EXPECT_EQ(Answered(std::string((1 << 20) + 1, 'x')).status.code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(OpenAiTargetTest, OddTypesDoNoHarm) {
  Serve();
  for (const std::string data :
       {R"({"choices":7})", R"({"choices":[7]})",
        R"({"choices":[{"text":7,"tokens":"x","finish_reason":1}]})",
        R"({"usage":[],"timings":"x"})",
        R"({"usage":{"completion_tokens":"x"}})"}) {
    const TurnOutcome outcome =
        Answered(absl::StrCat("data: ", data, "\n\ndata: [DONE]\n\n"));
    EXPECT_TRUE(outcome.status.ok()) << data << outcome.status;
    EXPECT_EQ(events_, 0);
  }
}

TEST_F(OpenAiTargetTest, AnErrorAnswerHasTheBodysWords) {
  Serve();
  status_ = 429;
  const absl::Status busy =
      Answered(R"({"error":{"message":"too many","code":null}})").status;
  EXPECT_EQ(busy.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(busy.message()), HasSubstr("too many"));
  status_ = 502;
  EXPECT_EQ(Answered("<html>").status.code(), absl::StatusCode::kInternal);
  status_ = 404;
  EXPECT_EQ(Answered("").status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(OpenAiTargetTest, TheRequestHasThePromptAsIdsAndTheOptions) {
  common_.set_model_id("m");
  common_.mutable_options()->set_temperature(0);
  common_.mutable_options()->set_ignore_eos(true);
  Serve();
  Answered("");
  const auto body = nlohmann::json::parse(body_);
  EXPECT_EQ(body["prompt"], nlohmann::json({4, 5}));
  EXPECT_EQ(body["max_tokens"], 3);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["ignore_eos"], true);
  EXPECT_EQ(body["seed"], 0x7fffffff);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_FALSE(body.contains("top_p"));
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
  Listen();
  const auto session = target_->NewSession();
  LoadTurn turn;
  turn.prompt = {4};
  RecordingObserver observer;
  session->Start(turn, &observer);
  observer.has_tokens.WaitForNotification();
  session->Cancel();
  observer.has_ended.WaitForNotification();
  released.Notify();
  EXPECT_EQ(observer.outcome.status.code(), absl::StatusCode::kCancelled);
}

TEST(OpenAiTargetAloneTest, NobodyListensAndBadAddresses) {
  // Port 1 is nobody's in a container.
  const auto target = MakeOpenAiTarget("http://127.0.0.1:1", {});
  ASSERT_TRUE(target.ok());
  RecordingObserver observer;
  const TurnOutcome outcome =
      RunTurn((*target)->NewSession().get(), LoadTurn(), &observer);
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(outcome.status.message()), HasSubstr("HTTP"));
  EXPECT_EQ(MakeOpenAiTarget("localhost:8080", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tandem::load
