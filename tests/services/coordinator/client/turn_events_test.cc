#include "services/coordinator/client/turn_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class TurnEventsTest : public TurnRunnerFixture {
 protected:
  TurnEventsTest() { spec_.options.ignore_eos = true; }

  // What LogTurnEnd writes at level info.
  std::string Logged() {
    std::ostringstream stream;
    const auto previous = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(stream)));
    LogTurnEnd(*runner_);
    spdlog::set_default_logger(previous);
    return stream.str();
  }
};

TEST_F(TurnEventsTest, EventsTogetherAreTheTurn) {
  Start();
  RunToEnd();
  const v1::TurnStarted started = StartedEvent(*runner_).started();
  EXPECT_EQ(started.session_id(), "session");
  EXPECT_EQ(started.turn(), 3);
  EXPECT_EQ(started.seed(), 7u);
  EXPECT_EQ(started.prompt_tokens(), 3);

  std::vector<TokenId> ids;
  std::string text;
  TurnProgress at;
  const int64_t all = static_cast<int64_t>(runner_->turn().generated().size());
  while (at.tokens < all) {
    const TurnProgress to = runner_->NextGroup(at.tokens, 8);
    const v1::TokensGenerated tokens = TokensEvent(*runner_, at, to).tokens();
    EXPECT_EQ(tokens.first_token(), at.tokens);
    ids.insert(ids.end(), tokens.token_ids().begin(), tokens.token_ids().end());
    text += tokens.text();
    at = to;
  }
  const v1::TurnEnded ended = EndedEvent(*runner_, at.text_bytes).ended();
  EXPECT_EQ(ids, tokens_);
  EXPECT_EQ(text + ended.text(), runner_->turn().text());
  EXPECT_EQ(ended.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(ended.usage().generated_tokens(), all);
  EXPECT_GT(ended.speculation().rounds(), 0);
}

TEST_F(TurnEventsTest, TellsWhyNothingWasDrafted) {
  const auto reason = [this] {
    tokens_.clear();
    Start();
    RunToEnd();
    const v1::SpeculationStats stats =
        EndedEvent(*runner_, 0).ended().speculation();
    EXPECT_EQ(stats.drafted_tokens() > 0,
              stats.no_draft_reason() == v1::NO_DRAFT_REASON_UNSPECIFIED);
    return stats.no_draft_reason();
  };
  EXPECT_EQ(reason(), v1::NO_DRAFT_REASON_UNSPECIFIED);
  spec_.options.draft_length = 0;
  EXPECT_EQ(reason(), v1::NO_DRAFT_REASON_OFF);
  spec_.options.draft_length = 4;
  spec_.options.draft_sources = DraftSources::kLookup;
  spec_.options.max_tokens = 2;
  EXPECT_EQ(reason(), v1::NO_DRAFT_REASON_NO_MATCH);
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.options.max_tokens = 1;
  EXPECT_EQ(reason(), v1::NO_DRAFT_REASON_NO_ROOM);
  spec_.options.max_tokens = 20;
  directory_.drafters.clear();
  EXPECT_EQ(reason(), v1::NO_DRAFT_REASON_NO_DRAFT_WORKER);
  // All by default, and no drafter: lookup found nothing either.
  spec_.options.draft_sources = GenOptions().draft_sources;
  spec_.options.draft_length = std::nullopt;
  spec_.options.max_tokens = 2;
  EXPECT_EQ(reason(), v1::NO_DRAFT_REASON_NO_DRAFT_WORKER);
}

TEST_F(TurnEventsTest, ATurnOfARecordedTraceIsLogged) {
  Start();
  RunToEnd();
  EXPECT_EQ(Logged(), "") << "others are for debugging";
  trace_ = ParseTraceContext(
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "");
  Start();
  RunToEnd();
  const std::string line = Logged();
  EXPECT_THAT(line, HasSubstr("trace 4bf92f3577b34da6a3ce929d0e0e4736"));
  EXPECT_THAT(line, HasSubstr("turn 3 of session session"));
  EXPECT_THAT(line, HasSubstr("(length)"));
}

}  // namespace
}  // namespace tandem
