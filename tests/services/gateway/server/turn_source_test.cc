#include "services/gateway/server/turn_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/services/gateway/openai/turn_events.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

using ::testing::HasSubstr;

class TurnSourceTest : public GatewayFixture {
 protected:
  std::shared_ptr<TurnSource> MakeSource(const ReplyFormat& format) {
    v1::TurnRequest request;
    request.set_text("Once");
    if (format.echo.has_value()) request.set_prompt_logprobs(1);
    const std::shared_ptr<client::TurnStream> turn = client_->Start(request);
    const client::NextEvent started = turn->Next();
    EXPECT_TRUE(started.ok()) << started.status();
    return std::make_shared<TurnSource>(
        TurnSource::Parts{.turn = turn,
                          .writer = MakeStreamWriter(format),
                          .call = {.api_key = "k"},
                          .store = &store_,
                          .texts = &texts_,
                          .metrics = &metrics_},
        (*started)->started());
  }

  const TurnName name_ = {.session_id = kSession, .turn = 3};
  GatewayMetrics metrics_;
  const std::unique_ptr<client::Client> client_ = MakeClient();
  StreamStore store_{[](const StoredStream&) {}};
  CallPool pool_;
  TokenTextCache texts_{client_.get(), &pool_};
};

TEST_F(TurnSourceTest, GivesTheTurnToItsEnd) {
  std::shared_ptr<TurnSource> source = MakeSource({});
  std::string all;
  while (const std::optional<std::string> event = Next(source.get())) {
    all += *event;
  }
  EXPECT_EQ(Data(all).size(), 4u);
  EXPECT_EQ(Next(source.get()), std::nullopt);
  EXPECT_EQ(metrics_.streams().Value(), 1);
  EXPECT_TRUE(store_.Find(name_, "k")->turn != nullptr);
  source.reset();
  // The callback of the last event may still be on its way out.
  while (store_.left() == 0) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(metrics_.streams().Value(), 0);
  EXPECT_TRUE(store_.Find(name_, "k")->turn == nullptr);
  EXPECT_EQ(store_.left(), 1u);
}

TEST_F(TurnSourceTest, AnEchoIsOneEventBeforeTheReply) {
  service_.scored_tokens = 5;
  std::shared_ptr<TurnSource> source =
      MakeSource({.api = ReplyFormat::Api::kCompletion,
                  .echo = Echo{.text = "abc", .logprobs = 1}});
  std::string all;
  while (const std::optional<std::string> event = Next(source.get())) {
    all += *event;
  }
  const std::vector<Json> chunks = Data(all);
  ASSERT_EQ(chunks.size(), 4u) << all;
  EXPECT_EQ(chunks[0]["choices"][0]["text"], "abc");
  EXPECT_EQ(chunks[0]["choices"][0]["logprobs"]["token_logprobs"].size(), 5u);
  EXPECT_EQ(chunks[1]["choices"][0]["text"], "Once");
  EXPECT_EQ(store_.Find(name_, "k")->prompt_tokens, 5);
}

TEST_F(TurnSourceTest, ATurnThatIsLeftCanBeResumed) {
  service_.wait_for_cancel = true;
  std::shared_ptr<TurnSource> source = MakeSource({});
  Next(source.get());
  source->Leave();
  source.reset();
  EXPECT_EQ(store_.left(), 1u);
}

TEST_F(TurnSourceTest, OneThatMayNotBeResumedIsCancelled) {
  service_.wait_for_cancel = true;
  std::shared_ptr<TurnSource> source = MakeSource({.resumable = false});
  Next(source.get());
  source.reset();
  EXPECT_EQ(store_.left(), 0u);
  EXPECT_FALSE(store_.Find(name_, "k").has_value());
}

TEST_F(TurnSourceTest, SaysWhyItStops) {
  EXPECT_THAT(MakeSource({})->StopText(), HasSubstr("\"code\":\"draining\""));
}

}  // namespace
}  // namespace tandem::gateway
