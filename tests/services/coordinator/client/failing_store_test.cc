// Client streams over a store any of whose answers may fail or be lost: a
// client that comes again as the errors say has the text of an undisturbed run.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

constexpr char kPrompt[] = "w1 w2";

class FailingStoreTest : public StoredFixture {
 protected:
  // Two turns of a client that tries again, at the coordinators by turns.
  void RunTurns() {
    std::vector<TokenId> prompt = PromptOf(kPrompt);
    std::string session_id;
    for (int turn = 1; turn <= 2; ++turn) {
      FakeClient* const client = RunTurn(session_id, turn);
      ASSERT_NE(client, nullptr);
      ExpectPlain(*client, SpecOf(prompt, kTokens));
      session_id = client->session_id;
      prompt = Continued(prompt, client->tokens, "w3");
    }
  }

 private:
  static constexpr int kTokens = 150;

  FakeClient* Ask(FakeCoordinator* at, const std::string& session_id,
                  int turn) {
    FakeClient* const client = Connect(at);
    client->session_id = session_id;
    client->Start(turn == 1 ? kPrompt : "w3", kTokens);
    return client;
  }
  FakeClient* RunTurn(const std::string& session_id, int turn) {
    FakeClient* client = Ask(a_, session_id, turn);
    bool has_started = false;
    for (int tries = 1; tries <= 20; ++tries) {
      // Its connection is lost once.
      const bool leaves = tries == 1;
      RunUntil([client, leaves] {
        return client->has_ended || client->finished ||
               (leaves && client->tokens.size() > 70);
      });
      if (client->has_ended) return client;
      if (!client->finished) {
        client->Leave();
      } else {
        EXPECT_TRUE(absl::IsUnavailable(*client->finished) ||
                    absl::IsAborted(*client->finished))
            << *client->finished;
      }
      FakeCoordinator* const at = tries % 2 == 0 ? a_ : b_;
      has_started |= client->has_started;
      client = has_started ? Resume(at, *client) : Ask(at, session_id, turn);
    }
    return nullptr;
  }
};

TEST_F(FailingStoreTest, TheTextStaysTheSame) {
  for (const StoreCall call :
       {StoreCall::kBegin, StoreCall::kTokens, StoreCall::kEnd,
        StoreCall::kTakeOver, StoreCall::kFindLost}) {
    for (const absl::Status& status :
         {absl::UnavailableError("away"), absl::ResourceExhaustedError("full"),
          absl::AbortedError("another has it")}) {
      if (absl::IsAborted(status) && call == StoreCall::kTakeOver) continue;
      for (const bool happens : {false, true}) {
        if (absl::IsResourceExhausted(status) && happens) continue;
        for (int number = 1; number <= 6; ++number) {
          SCOPED_TRACE(::testing::Message()
                       << static_cast<int>(call) << " " << status << " "
                       << happens << " " << number);
          const int before = store_.calls(call);
          store_.Fail(call, {.first = before + number,
                             .last = before + number,
                             .status = status,
                             .happens = happens});
          RunTurns();
          store_.Mend();
          if (HasFailure()) return;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tandem
