// tandem sessions against a coordinator that answers by a script; with a real
// one: tests/system/sessions_test.py.

#include <string>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

v1::SessionSummary Summary(const std::string& id, v1::SessionState state) {
  v1::SessionSummary summary;
  summary.set_session_id(id);
  summary.set_tenant("key:alice");
  summary.set_model_id("tales");
  summary.set_state(state);
  summary.set_turns(2);
  summary.set_created_at_seconds(1767322445);
  summary.set_used_at_seconds(1767322500);
  return summary;
}

class SessionsTest : public ::testing::Test {
 protected:
  RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "sessions");
    arguments.insert(arguments.end(), {"--coordinator", service_.address()});
    return RunTandem(arguments);
  }

  FakeService service_;
};

TEST_F(SessionsTest, AListHasAllPages) {
  service_.session_pages.resize(3);
  *service_.session_pages[0].add_sessions() =
      Summary("one", v1::SESSION_STATE_IDLE);
  service_.session_pages[0].set_next_page_token("1");
  *service_.session_pages[1].add_sessions() =
      Summary("two", v1::SESSION_STATE_TURN_OPEN);
  service_.session_pages[1].set_next_page_token("2");
  v1::SessionSummary* damaged = service_.session_pages[2].add_sessions();
  damaged->set_session_id("three");
  damaged->set_state(v1::SESSION_STATE_DAMAGED);
  RunResult result = Run({"list"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("one         key:alice  tales     idle"));
  EXPECT_THAT(result.out,
              HasSubstr("2026-01-02T02:54:05Z  2026-01-02T02:55:00Z\n"));
  EXPECT_THAT(result.out, HasSubstr("two         key:alice"));
  EXPECT_THAT(result.out, HasSubstr("damaged"));
  EXPECT_EQ(service_.last_list().tenant(), "");
  result = Run({"list", "--tenant", "key:alice", "--json"});
  EXPECT_EQ(service_.last_list().tenant(), "key:alice");
  const auto json = nlohmann::json::parse(result.out)["sessions"];
  ASSERT_EQ(json.size(), 3u);
  EXPECT_EQ(json[0]["session_id"], "one");
  EXPECT_EQ(json[0]["turns"], 2);
  EXPECT_EQ(json[1]["state"], "turn_open");
  EXPECT_EQ(json[2]["state"], "damaged");
  EXPECT_EQ(json[2]["created_at"], nullptr);
}

TEST_F(SessionsTest, AListMayBeEmpty) {
  service_.session_pages.resize(1);
  EXPECT_EQ(Run({"list"}).out, "no session is stored\n");
  EXPECT_EQ(Run({"list", "--json"}).out, "{\"sessions\":[]}\n");
}

TEST_F(SessionsTest, ShowsTurnsInTokens) {
  *service_.session.mutable_session() =
      Summary("one", v1::SESSION_STATE_TURN_OPEN);
  service_.session.set_vocabulary_fingerprint("beef");
  v1::TurnSummary* turn = service_.session.add_turns();
  turn->set_turn(1);
  turn->set_fingerprint("f00d");
  turn->set_prompt_tokens(5);
  turn->set_generated_tokens(9);
  turn->set_ended(true);
  turn->set_finish_reason(v1::FINISH_REASON_LENGTH);
  turn = service_.session.add_turns();
  turn->set_turn(2);
  RunResult result = Run({"show", "one"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("session_id: one\n"));
  EXPECT_THAT(result.out, HasSubstr("state: turn_open\n"));
  EXPECT_THAT(result.out,
              HasSubstr("1     5              9                 true"
                        "   length         f00d\n"));
  result = Run({"show", "one", "--json"});
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["vocabulary_fingerprint"], "beef");
  ASSERT_EQ(json["turns"].size(), 2u);
  EXPECT_EQ(json["turns"][0]["finish_reason"], "length");
  EXPECT_EQ(json["turns"][1]["finish_reason"], nullptr);
  EXPECT_EQ(json["turns"][1]["ended"], false);
}

TEST_F(SessionsTest, DeletesASession) {
  const RunResult result = Run({"delete", "one"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "one is deleted\n");
  EXPECT_EQ(service_.last_delete().session_id(), "one");
}

TEST_F(SessionsTest, SaysWhatHelps) {
  service_.error =
      MakeError(absl::StatusCode::kNotFound, {.reason = kReasonUnknownSession},
                "the store has no such session");
  for (const char* command : {"show", "delete"}) {
    const RunResult result = Run({command, "one"});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err,
              "tandem: there is no session \"one\": `tandem sessions list` "
              "shows those that are\n");
  }
  service_.error = absl::UnimplementedError("no such method");
  EXPECT_THAT(Run({"list"}).err, HasSubstr("does not list its sessions: "));
  EXPECT_THAT(Run({"show", "one"}).err, HasSubstr("does not show its"));
  EXPECT_THAT(Run({"delete", "one"}).err, HasSubstr("does not delete its"));
  const RunResult result =
      RunTandem({"sessions", "list", "--coordinator", "unix:/nonexistent"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach the coordinator"));
}

}  // namespace
}  // namespace tandem::cli
