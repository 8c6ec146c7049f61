// Two versions of a model, side by side and one after the other: a turn stays
// with the one that it began with, a session goes on with what is served.

#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

constexpr char kPrompt[] = "w1 w2";

class ModelVersionsTest : public StoredFixture {
 protected:
  ModelVersionsTest() {
    for (FakeCoordinator* const at : {a_, b_}) {
      newer_[at] = std::make_shared<FakeLink>(9, "fp2");
    }
  }
  // What `at` is served by from now on.
  void Serve(FakeCoordinator* at, bool old, bool newer,
             const std::string& vocabulary = "vocabulary") {
    std::vector<WorkerInfo> workers;
    if (old) workers.push_back(at->info);
    if (newer) {
      workers.push_back(at->info);
      workers.back().address = "t2";
      workers.back().fingerprint = "fp2";
      workers.back().vocabulary_fingerprint = vocabulary;
      workers.back().link = newer_[at];
    }
    at->table = std::make_shared<WorkerTable>(workers);
  }
  // The old worker of `at` goes while a turn runs there.
  void RollOut(FakeCoordinator* at) {
    Serve(at, /*old=*/false, /*newer=*/true);
    at->link->faults.close = 1000;
  }
  void RollBack(FakeCoordinator* at) {
    Serve(at, /*old=*/true, /*newer=*/false);
    at->link->faults.close = 0;
  }
  FakeClient* Next(FakeCoordinator* at, const FakeClient& first) {
    FakeClient* const client = Connect(at);
    client->session_id = first.session_id;
    client->Start("w3", 40);
    return client;
  }
  std::string ReasonOf(const FakeClient& client) {
    const auto detail =
        GetErrorDetail(client.finished.value_or(absl::OkStatus()));
    return detail.has_value() ? detail->reason : "";
  }
  void ExpectModelChanged(FakeClient* client) {
    RunUntil([client] { return client->finished || client->has_ended; });
    EXPECT_EQ(ReasonOf(*client), kReasonModelChanged);
    EXPECT_EQ(client->finished->code(), absl::StatusCode::kFailedPrecondition);
  }
  static TurnSpec Spec(int max_tokens) {
    return SpecOf(PromptOf(kPrompt), max_tokens);
  }

  std::map<FakeCoordinator*, std::shared_ptr<FakeLink>> newer_;
};

TEST_F(ModelVersionsTest, ARunningTurnEndsWithModelChangedAndCanGoOn) {
  FakeClient* const client = Connect(a_);
  client->Start(kPrompt, 500);
  RunUntil([client] { return client->tokens.size() > 40; });
  EXPECT_FALSE(client->started.model_changed());
  RollOut(a_);
  ExpectModelChanged(client);
  // Also asked for again; it waits for its own version.
  FakeClient* const early = Resume(a_, *client);
  ExpectModelChanged(early);
  EXPECT_EQ(newer_[a_]->opened, 0);
  RollBack(a_);
  FakeClient* const after = Resume(a_, *early);
  RunToEnd(after);
  ExpectPlain(*after, Spec(500));
  EXPECT_EQ(after->started.fingerprint(), "fp");
  EXPECT_FALSE(after->started.model_changed());
}

TEST_F(ModelVersionsTest, ANextTurnRunsOnTheNewVersion) {
  FakeClient* const first = Connect(a_);
  first->Start(kPrompt, 500);
  RunUntil([first] { return first->tokens.size() > 40; });
  RollOut(a_);
  ExpectModelChanged(first);
  FakeClient* const second = Next(a_, *first);
  RunToEnd(second);
  EXPECT_EQ(second->started.fingerprint(), "fp2");
  EXPECT_TRUE(second->started.model_changed());
  // After all tokens that its client has, and those alone.
  ExpectPlain(*second,
              SpecOf(Continued(PromptOf(kPrompt), first->tokens, "w3"), 40));
  FakeClient* const third = Next(a_, *first);
  RunToEnd(third);
  EXPECT_FALSE(third->started.model_changed());
}

TEST_F(ModelVersionsTest, SideBySideATurnStaysWithItsOwn) {
  Serve(a_, /*old=*/true, /*newer=*/true);
  FakeClient* const client = Connect(a_);
  client->Start(kPrompt, 800);
  RunUntil([client] { return client->tokens.size() > 40; });
  const bool is_old = client->started.fingerprint() == "fp";
  FakeLink* const own = is_old ? a_->link.get() : newer_[a_].get();
  FakeLink* const other = is_old ? newer_[a_].get() : a_->link.get();
  // Lost three times.
  for (int i = 0; i < 3; ++i) {
    own->faults.close = 1000;
    RunUntil([own] { return own->streams == 0; });
    own->faults.close = 0;
    const size_t tokens = client->tokens.size() + 20;
    RunUntil([client, tokens] { return client->tokens.size() > tokens; });
  }
  RunToEnd(client);
  ExpectPlain(*client, Spec(800));
  EXPECT_EQ(client->ended.moves(), 3);
  EXPECT_EQ(other->opened, 0);
}

TEST_F(ModelVersionsTest, AStoredTurnWaitsForItsVersionAndAStartDoesNot) {
  Serve(b_, /*old=*/false, /*newer=*/true);
  FakeClient* const first = Connect(a_);
  first->Start(kPrompt, 500);
  RunUntil([first] { return first->tokens.size() > 70; });
  first->Leave();
  RunUntil([first] { return first->finished.has_value(); });
  while (RunReady()) {
  }
  Kill(a_);
  ExpectModelChanged(Resume(b_, *first));
  FakeClient* const second = Next(b_, *first);
  RunToEnd(second);
  EXPECT_EQ(second->started.fingerprint(), "fp2");
  EXPECT_TRUE(second->started.model_changed());
  EXPECT_EQ(second->turn, 2);
  // Who loads the turn says the same of it.
  FakeCoordinator* const other = AddCoordinator();
  FakeClient* const again = Connect(other);
  v1::ConverseRequest resume;
  resume.mutable_resume()->set_session_id(first->session_id);
  resume.mutable_resume()->set_turn(2);
  again->Send(resume);
  RunToEnd(again);
  EXPECT_TRUE(again->started.model_changed());
  EXPECT_EQ(again->started.fingerprint(), "fp2");
  EXPECT_EQ(again->tokens, second->tokens);
}

TEST_F(ModelVersionsTest, AnotherVocabularyIsAnotherModel) {
  FakeClient* const first = Connect(a_);
  first->Start(kPrompt, 20);
  RunToEnd(first);
  for (FakeCoordinator* const at : {a_, b_}) {
    Serve(at, /*old=*/false, /*newer=*/true, "another");
    FakeClient* const second = Next(at, *first);
    RunUntil([second] { return second->finished.has_value(); });
    EXPECT_EQ(ReasonOf(*second), kReasonVocabularyMismatch);
    EXPECT_EQ(second->finished->code(), absl::StatusCode::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace tandem
