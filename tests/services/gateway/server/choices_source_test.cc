#include "services/gateway/server/choices_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/services/gateway/openai/turn_events.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class ChoicesSourceTest : public GatewayFixture {
 protected:
  std::shared_ptr<ChoicesSource> MakeSource(int count,
                                            ReplyFormat format = {}) {
    v1::TurnRequest request;
    request.set_text("Once");
    if (format.echo.has_value()) request.set_prompt_logprobs(1);
    format.resumable = false;
    format.choices = count;
    turns_ = std::make_shared<ChoiceTurns>(client_.get(), request,
                                           client::CallOptions(), count);
    auto source = std::make_shared<ChoicesSource>(
        ChoicesSource::Parts{.turns = turns_,
                             .format = format,
                             .call = {},
                             .texts = &texts_,
                             .metrics = &metrics_});
    absl::Notification started;
    turns_->Ask(0, [&](int, const client::NextEvent& event) {
      EXPECT_TRUE(event.ok()) << event.status();
      source->Begin((*event)->started());
      started.Notify();
    });
    started.WaitForNotification();
    return source;
  }

  GatewayMetrics metrics_;
  const std::unique_ptr<client::Client> client_ = MakeClient();
  CallPool pool_;
  TokenTextCache texts_{client_.get(), &pool_};
  std::shared_ptr<ChoiceTurns> turns_;
};

TEST_F(ChoicesSourceTest, GivesAllChoicesToTheirEnds) {
  std::shared_ptr<ChoicesSource> source = MakeSource(4);
  EXPECT_EQ(metrics_.streams().Value(), 1);
  std::string all;
  while (const std::optional<std::string> event = Next(source.get())) {
    all += *event;
  }
  // The role, two texts and the end of each.
  EXPECT_EQ(Data(all).size(), 16u);
  EXPECT_THAT(all, EndsWith("data: [DONE]\n\n"));
  EXPECT_EQ(all.find("[DONE]"), all.rfind("[DONE]"));
  EXPECT_EQ(Next(source.get()), std::nullopt);
  source.reset();
  // The callback of the last event may still be on its way out.
  while (metrics_.streams().Value() > 0) absl::SleepFor(absl::Milliseconds(1));
}

TEST_F(ChoicesSourceTest, EachChoiceHasThePromptBeforeIt) {
  service_.scored_tokens = 5;
  std::shared_ptr<ChoicesSource> source =
      MakeSource(3, {.api = ReplyFormat::Api::kCompletion,
                     .echo = Echo{.text = "abc", .logprobs = 1}});
  std::string all;
  while (const std::optional<std::string> event = Next(source.get())) {
    all += *event;
  }
  std::map<int, std::vector<Json>> choices;
  for (const Json& chunk : Data(all)) {
    const Json& choice = chunk["choices"][0];
    choices[choice["index"]].push_back(choice);
  }
  ASSERT_EQ(choices.size(), 3u) << all;
  for (const auto& [index, chunks] : choices) {
    ASSERT_EQ(chunks.size(), 4u) << index;
    EXPECT_EQ(chunks[0]["text"], "abc");
    EXPECT_EQ(chunks[0]["logprobs"], choices[0][0]["logprobs"]);
    EXPECT_EQ(chunks[1]["text"], "Once");
  }
  EXPECT_EQ(choices[0][0]["logprobs"]["token_logprobs"].size(), 5u);
}

TEST_F(ChoicesSourceTest, AnErrorOfOneEndsAll) {
  service_.end_early = true;
  std::shared_ptr<ChoicesSource> source = MakeSource(2);
  std::string all;
  while (const std::optional<std::string> event = Next(source.get())) {
    all += *event;
  }
  EXPECT_THAT(all, HasSubstr("\"error\""));
  EXPECT_THAT(all, EndsWith("data: [DONE]\n\n"));
}

TEST_F(ChoicesSourceTest, ALeftOneGivesNothingMore) {
  service_.wait_for_cancel = true;
  std::shared_ptr<ChoicesSource> source = MakeSource(2);
  Next(source.get());
  source->Leave();
  EXPECT_EQ(Next(source.get()), std::nullopt);
}

TEST_F(ChoicesSourceTest, SaysWhyItStops) {
  EXPECT_THAT(MakeSource(2)->StopText(), HasSubstr("\"code\":\"draining\""));
}

}  // namespace
}  // namespace tandem::gateway
