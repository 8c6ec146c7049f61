#include "services/coordinator/client/turn_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <vector>

#include "services/common/turn_conversion.h"
#include "tandem/v1/turn_record.pb.h"
#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PromptEventTest, HasTokensAndTheirScores) {
  const v1::PromptScored prompt =
      PromptEvent({.first_token = 7,
                   .tokens = {{.id = 3, .logprob = 0, .alternatives = {}},
                              {.id = 4,
                               .logprob = -2,
                               .alternatives = {{.id = 5, .logprob = -1}}}}})
          .prompt();
  EXPECT_EQ(prompt.first_token(), 7);
  EXPECT_THAT(prompt.token_ids(), ElementsAre(3, 4));
  ASSERT_EQ(prompt.logprobs_size(), 2);
  EXPECT_EQ(prompt.logprobs(0).logprob(), 0);
  EXPECT_EQ(prompt.logprobs(0).alternatives_size(), 0);
  EXPECT_EQ(prompt.logprobs(1).logprob(), -2);
  ASSERT_EQ(prompt.logprobs(1).alternatives_size(), 1);
  EXPECT_EQ(prompt.logprobs(1).alternatives(0).token_id(), 5);
}

class TurnEventsTest : public TurnRunnerFixture {
 protected:
  TurnEventsTest() { spec_.options.ignore_eos = true; }

  // The events of the whole turn for a client that has `at`.
  std::vector<v1::TokensGenerated> EventsFrom(TurnProgress at) {
    std::vector<v1::TokensGenerated> events;
    const int64_t all =
        static_cast<int64_t>(runner_->turn().generated().size());
    while (at.tokens < all) {
      TurnProgress to = runner_->rounds().NextGroup(at.tokens, 8);
      to.text_bytes = std::max(at.text_bytes, to.text_bytes);
      events.push_back(TokensEvent(*runner_, at, to).tokens());
      at = to;
    }
    return events;
  }
  // For each token whether it was drafted; fails where an event's rounds and
  // tokens do not go together.
  static std::vector<bool> DraftedOf(
      const std::vector<v1::TokensGenerated>& events) {
    std::vector<bool> drafted;
    for (const v1::TokensGenerated& event : events) {
      int tokens = 0;
      for (const v1::VerifiedRound& round : event.rounds()) {
        EXPECT_LE(round.accepted_tokens(), round.drafted_tokens());
        EXPECT_GT(round.tokens(), 0);
        tokens += round.tokens();
        for (int i = 0; i < round.tokens(); ++i) {
          drafted.push_back(i < round.accepted_tokens());
        }
      }
      EXPECT_EQ(tokens, event.token_ids_size());
    }
    return drafted;
  }
  // What the rounds of all events add up to is what the turn's end says.
  void ExpectRoundsAddUp() {
    v1::SpeculationStats sum;
    int tokens = 0;
    for (const v1::TokensGenerated& event : EventsFrom({})) {
      sum.set_rounds(sum.rounds() + event.rounds_size());
      for (const v1::VerifiedRound& round : event.rounds()) {
        tokens += round.tokens();
        sum.set_drafted_tokens(sum.drafted_tokens() + round.drafted_tokens());
        sum.set_accepted_tokens(sum.accepted_tokens() +
                                round.accepted_tokens());
        if (!round.from_lookup()) continue;
        sum.set_lookup_drafted_tokens(sum.lookup_drafted_tokens() +
                                      round.drafted_tokens());
        sum.set_lookup_accepted_tokens(sum.lookup_accepted_tokens() +
                                       round.accepted_tokens());
      }
    }
    const v1::TurnEnded ended = EndedEvent(*runner_, 0).ended();
    const v1::SpeculationStats& stats = ended.speculation();
    EXPECT_EQ(tokens, ended.usage().generated_tokens());
    EXPECT_EQ(sum.rounds(), stats.rounds());
    EXPECT_EQ(sum.drafted_tokens(), stats.drafted_tokens());
    EXPECT_EQ(sum.accepted_tokens(), stats.accepted_tokens());
    EXPECT_EQ(sum.lookup_drafted_tokens(), stats.lookup_drafted_tokens());
    EXPECT_EQ(sum.lookup_accepted_tokens(), stats.lookup_accepted_tokens());
  }

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
    const TurnProgress to = runner_->rounds().NextGroup(at.tokens, 8);
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

TEST_F(TurnEventsTest, TellsWhereTheModelHasChanged) {
  for (const auto& [before, has_changed] :
       std::vector<std::pair<std::string, bool>>{
           {"", false}, {"fp", false}, {"another", true}}) {
    previous_fingerprint_ = before;
    Start();
    EXPECT_EQ(StartedEvent(*runner_).started().model_changed(), has_changed);
    EXPECT_EQ(StartedEvent(*runner_).started().fingerprint(), "fp");
  }
}

TEST_F(TurnEventsTest, TheEndHasItsMovesAlsoWhereAnotherProcessEndedIt) {
  AddTarget("t2");
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  RunToEnd();
  const v1::TurnEnded ended = EndedEvent(*runner_, 0).ended();
  EXPECT_EQ(ended.moves(), 1);
  v1::TurnEnded loaded;
  loaded.set_text("rest");
  SetFigures(ended, &loaded);
  EXPECT_EQ(loaded.moves(), 1);
  EXPECT_EQ(loaded.usage().generated_tokens(),
            ended.usage().generated_tokens());
  EXPECT_EQ(loaded.text(), "rest");
}

TEST_F(TurnEventsTest, TheLastOneHasAReceipt) {
  Start();
  RunToEnd();
  const v1::TurnEnded ended = LastEvent(*runner_, 0, std::nullopt).ended();
  EXPECT_EQ(ended.text(), runner_->turn().text());
  EXPECT_FALSE(EndedEvent(*runner_, 0).ended().has_receipt());
  const v1::Receipt& receipt = ended.receipt();
  EXPECT_EQ(receipt.fingerprint(), "fp");
  EXPECT_EQ(receipt.prompt_hash(), HashOfTokens(spec_.prompt));
  EXPECT_EQ(receipt.tokens_hash(), HashOfTokens(tokens_));
  EXPECT_EQ(receipt.generated_tokens(), ended.usage().generated_tokens());
  EXPECT_EQ(receipt.options().seed(), 7u);
  EXPECT_FALSE(receipt.options().has_draft_length_max());
}

TEST_F(TurnEventsTest, AnEndOfAnotherProcessHasItsOwnReceiptOrNone) {
  Start();
  RunToEnd();
  v1::TurnEnded loaded = EndedEvent(*runner_, 0).ended();
  EXPECT_EQ(LastEvent(*runner_, 0, loaded).SerializeAsString(),
            LastEvent(*runner_, 0, std::nullopt).SerializeAsString());
  loaded.mutable_receipt()->set_tokens_hash("of its own");
  EXPECT_EQ(LastEvent(*runner_, 0, loaded).ended().receipt().tokens_hash(),
            "of its own");
  loaded.clear_receipt();
  loaded.set_finish_reason(v1::FINISH_REASON_CANCELLED);
  EXPECT_FALSE(LastEvent(*runner_, 0, loaded).ended().has_receipt());
}

TEST_F(TurnEventsTest, ACancelledTurnHasNoReceipt) {
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  runner_->Cancel(FinishReason::kCancelled);
  EXPECT_FALSE(LastEvent(*runner_, 0, std::nullopt).ended().has_receipt());
}

TEST_F(TurnEventsTest, StoresHowTheTurnWasSetUp) {
  timeout_ = std::chrono::seconds(5);
  go_on_ = std::chrono::seconds(7);
  Make();
  v1::TurnSetupRecord record;
  ASSERT_TRUE(record.ParseFromString(WriteTurnSetup(*runner_)));
  EXPECT_EQ(record.timeout_ms(), 5000);
  EXPECT_EQ(record.go_on_ms(), 7000);
  EXPECT_EQ(record.context_max(), spec_.context_max);
  EXPECT_EQ(record.options().seed(), 7u);
}

TEST_F(TurnEventsTest, RoundsAddUpWhateverDrafts) {
  const auto run = [this] {
    tokens_.clear();
    Start();
    RunToEnd();
    ExpectRoundsAddUp();
    return runner_->turn().speculation();
  };
  const SpeculationCounts by_model = run();
  EXPECT_GT(by_model.accepted, 0);
  EXPECT_GT(by_model.drafted, by_model.accepted);
  // A text that repeats itself, by lookup alone.
  spec_.options.draft_sources = DraftSources::kLookup;
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  EXPECT_GT(run().lookup.accepted, 0);
  spec_.options.draft_length = 0;
  EXPECT_EQ(run().drafted, 0);
}

// A turn that stops inside a draft ends with a round that has no token of the
// target's own.
TEST_F(TurnEventsTest, AStopInsideADraftIsARound) {
  spec_.options.draft_length = 8;
  const PlainResult plain = PlainRun(spec_);
  int inside = 0;
  for (size_t stop = 10; stop < 40; ++stop) {
    spec_.options.stop_token_ids = {plain.tokens[stop]};
    tokens_.clear();
    Start();
    RunToEnd();
    ExpectRoundsAddUp();
    inside += DraftedOf(EventsFrom({})).back() ? 1 : 0;
  }
  EXPECT_GT(inside, 0);
}

TEST_F(TurnEventsTest, ATokenIsAsDraftedForAReaderThatBeginsThere) {
  Start();
  RunToEnd();
  const std::vector<bool> drafted = DraftedOf(EventsFrom({}));
  for (size_t from = 0; from < drafted.size(); ++from) {
    const std::vector<bool> rest =
        DraftedOf(EventsFrom({.tokens = static_cast<int64_t>(from)}));
    EXPECT_EQ(rest,
              std::vector<bool>(drafted.begin() + static_cast<int64_t>(from),
                                drafted.end()))
        << from;
  }
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
