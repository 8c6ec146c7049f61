// The first promise: the same seed gives the same text, bit for bit, with
// speculation on or off, with others in the batch, through the service or in
// process.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/model/model_store.h"
#include "engine/session/inference_session.h"
#include "services/common/options_conversion.h"
#include "tests/system/cluster.h"

namespace tandem::testing {
namespace {

constexpr int kPrompts = 20;
constexpr int kDraftLengths[] = {0, 1, 4, 8};
// In place of a length.
constexpr int kAutomatic = -1;
constexpr int kLookupOnly = -2;
constexpr int kNeighbours = 8;

const char* const kTexts[kPrompts] = {
    "Once upon a time there was a king who had three daughters.",
    "The old woman looked at him and said:",
    "\"Who are you?\" asked the Princess.",
    "In a far country, beyond the sea,",
    "The wolf ran through the forest and",
    "Then the giant took his axe,\n\nand",
    " two  spaces, café ☃ and 1234",
    "a",
    "The",
    "There lived a tailor",
    "\"I will give you my daughter,\" said the king, \"if",
    "On the third day the youngest brother set out. He had not gone far when",
    "All at once",
    "She wept",
    "1 2 3 4 5 6 7 8 9",
    "The cat sat down by the fire and began to tell her tale. "
    "\"Long ago,\" she said, \"when the moon was young and the stars were "
    "only sparks, there lived in the deep wood a witch with a golden comb.",
    "Good morning, good morning, good morning,",
    "He opened the little door",
    "Alice thought",
    "The end."};

struct OptionSet {
  const char* name;
  v1::GenerationOptions options;
};

std::vector<OptionSet> OptionSets() {
  OptionSet greedy{"greedy", {}};
  greedy.options.set_temperature(0);
  greedy.options.set_repetition_penalty(1);
  OptionSet warm{"temperature 0.8", {}};
  warm.options.set_temperature(0.8f);
  warm.options.set_top_k(0);
  warm.options.set_top_p(1);
  warm.options.set_repetition_penalty(1);
  OptionSet defaults{"defaults", {}};
  return {greedy, warm, defaults};
}

v1::TurnRequest MakeTurn(int prompt, const OptionSet& set, int draft_length) {
  v1::TurnRequest turn;
  turn.set_text(kTexts[prompt]);
  *turn.mutable_options() = set.options;
  turn.mutable_options()->set_seed(1000 + prompt);
  turn.mutable_options()->set_max_tokens(24 + prompt);
  if (draft_length >= 0) turn.mutable_options()->set_draft_length(draft_length);
  if (draft_length == kLookupOnly) {
    turn.mutable_options()->set_draft_sources(v1::DRAFT_SOURCES_LOOKUP);
  }
  return turn;
}

class InvarianceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>(Cluster::Options{});
    ModelStore store;
    ASSERT_TRUE(store.AddFile("target", TargetModelPath()).ok());
    absl::StatusOr<std::shared_ptr<const Model>> model = store.Get("target");
    ASSERT_TRUE(model.ok()) << model.status();
    absl::StatusOr<std::unique_ptr<Engine>> engine =
        Engine::Load(*model, {.threads = 1});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = std::move(*engine);
  }

  static void TearDownTestSuite() {
    cluster_.reset();
    engine_.reset();
  }

  // The ids of the same turn, in this process and without speculation.
  static std::vector<int32_t> InProcess(const v1::TurnRequest& turn,
                                        std::string* text) {
    auto session = InferenceSession::Create(engine_.get(), nullptr);
    EXPECT_TRUE(session.ok()) << session.status();
    const GenOptions options = FromProto(turn.options());
    EXPECT_TRUE(
        (*session)->StartTurn(absl::string_view(turn.text()), options).ok());
    std::vector<int32_t> ids;
    while (true) {
      const auto token = (*session)->NextToken();
      EXPECT_TRUE(token.ok()) << token.status();
      if (!token.ok() || !token->has_value()) break;
      ids.push_back((*token)->id);
    }
    *text = (*session)->text();
    return ids;
  }

  static void ExpectSame(const TurnResult& result,
                         const std::vector<int32_t>& ids,
                         const std::string& text) {
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    ASSERT_TRUE(result.ended);
    EXPECT_TRUE(result.contiguous);
    EXPECT_EQ(result.token_ids, ids);
    EXPECT_EQ(result.text, text);
    EXPECT_EQ(result.end.usage().generated_tokens(),
              static_cast<int64_t>(ids.size()));
  }

  static std::unique_ptr<Cluster> cluster_;
  static std::unique_ptr<Engine> engine_;
};

std::unique_ptr<Cluster> InvarianceTest::cluster_;
std::unique_ptr<Engine> InvarianceTest::engine_;

TEST_F(InvarianceTest, EveryDraftLengthGivesTheInProcessTokens) {
  int64_t accepted = 0;
  for (const OptionSet& set : OptionSets()) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
      std::string text;
      const std::vector<int32_t> ids =
          InProcess(MakeTurn(prompt, set, 0), &text);
      for (const int draft_length : kDraftLengths) {
        SCOPED_TRACE(std::string(set.name) + ", prompt " +
                     std::to_string(prompt) + ", k " +
                     std::to_string(draft_length));
        const TurnResult result =
            cluster_->Generate(MakeTurn(prompt, set, draft_length));
        ExpectSame(result, ids, text);
        if (draft_length == 0) {
          EXPECT_EQ(result.end.speculation().drafted_tokens(), 0);
        }
        accepted += result.end.speculation().accepted_tokens();
      }
    }
  }
  // Speculation took part: else equal texts would prove nothing.
  EXPECT_GT(accepted, 0);
}

TEST_F(InvarianceTest, AutomaticLengthsAndLookupGiveTheInProcessTokens) {
  int64_t model = 0;
  int64_t looked_up = 0;
  for (const OptionSet& set : OptionSets()) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
      std::string text;
      v1::TurnRequest turn = MakeTurn(prompt, set, 0);
      turn.mutable_options()->set_max_tokens(60);
      const std::vector<int32_t> ids = InProcess(turn, &text);
      for (const int choice : {kAutomatic, kLookupOnly}) {
        SCOPED_TRACE(std::string(set.name) + ", prompt " +
                     std::to_string(prompt) + ", choice " +
                     std::to_string(choice));
        turn = MakeTurn(prompt, set, choice);
        turn.mutable_options()->set_max_tokens(60);
        const TurnResult result = cluster_->Generate(turn);
        ExpectSame(result, ids, text);
        const v1::SpeculationStats& stats = result.end.speculation();
        looked_up += stats.lookup_accepted_tokens();
        const int64_t by_model =
            stats.drafted_tokens() - stats.lookup_drafted_tokens();
        model += by_model;
        if (choice == kLookupOnly) {
          EXPECT_EQ(by_model, 0);
        }
      }
    }
  }
  EXPECT_GT(model, 0);
  EXPECT_GT(looked_up, 0);
}

TEST_F(InvarianceTest, EightSessionsBesideChangeNothing) {
  const std::vector<OptionSet> sets = OptionSets();
  std::atomic<bool> stop{false};
  std::atomic<int64_t> beside{0};
  std::vector<std::thread> neighbours;
  for (int i = 0; i < kNeighbours; ++i) {
    neighbours.emplace_back([&, i] {
      for (int round = 0; !stop.load(); ++round) {
        v1::TurnRequest turn =
            MakeTurn((i + round) % kPrompts, sets[(i + round) % 3],
                     i % 2 == 0 ? kAutomatic : (i * 3) % 9);
        turn.mutable_options()->set_seed(7 * i + round);
        const TurnResult result = cluster_->Generate(turn);
        EXPECT_TRUE(result.status.ok()) << result.status.error_message();
        beside.fetch_add(static_cast<int64_t>(result.token_ids.size()));
      }
    });
  }
  for (const OptionSet& set : sets) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
      std::string text;
      const std::vector<int32_t> ids =
          InProcess(MakeTurn(prompt, set, 0), &text);
      const int choices[] = {0, 1, 4, 8, kAutomatic, kLookupOnly};
      const int draft_length = choices[prompt % 6];
      SCOPED_TRACE(std::string(set.name) + ", prompt " +
                   std::to_string(prompt));
      ExpectSame(cluster_->Generate(MakeTurn(prompt, set, draft_length)), ids,
                 text);
    }
  }
  stop.store(true);
  for (std::thread& thread : neighbours) thread.join();
  EXPECT_GT(beside.load(), 0);
}

}  // namespace
}  // namespace tandem::testing
