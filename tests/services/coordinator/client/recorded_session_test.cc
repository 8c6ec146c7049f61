// A session of two turns that version 0.1 recorded, tests/data/session_v1.json:
// what its client sent and got, and what its coordinator stored. Every later
// coordinator serves that client with the same tokens, and goes on with the
// stored turn.
//
// The file is written by
//   TANDEM_RECORD_SESSION=FILE services_coordinator_client_test
//     --gtest_also_run_disabled_tests --gtest_filter='*RecordSession'
// once for each version that breaks with the one before, under a new name.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "nlohmann/json.hpp"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFile[] = TANDEM_SOURCE_DIR "/tests/data/session_v1.json";

std::string Hex(const google::protobuf::Message& message) {
  return absl::BytesToHexString(message.SerializeAsString());
}

template <typename Message>
Message Parsed(const Json& hex) {
  Message message;
  EXPECT_TRUE(
      message.ParseFromString(absl::HexStringToBytes(hex.get<std::string>())));
  return message;
}

// Keeps all events as they came.
class Recorder : public FakeClient {
 public:
  Recorder(ClientServices* services, Json* into)
      : FakeClient(services, "tenant", SessionUse::kConversation),
        into_(into) {}
  void Write(const v1::ConverseResponse& event) override {
    into_->push_back(Hex(event));
    FakeClient::Write(event);
  }

 private:
  Json* const into_;
};

class RecordedSessionTest : public StoredFixture {
 protected:
  RecordedSessionTest() {
    std::ifstream file(kFile);
    if (file.is_open()) recorded_ = Json::parse(file);
  }

  static v1::ConverseRequest FirstStart() {
    v1::ConverseRequest request;
    v1::TurnRequest& turn = *request.mutable_start();
    turn.set_text("w1 w2 w3");
    turn.set_model_id("fake");
    turn.set_timeout_ms(600000);
    v1::GenerationOptions& options = *turn.mutable_options();
    options.set_max_tokens(120);
    options.set_temperature(0.8f);
    options.set_top_p(0.95f);
    options.set_top_k(50);
    options.set_repetition_penalty(1.2f);
    options.set_presence_penalty(0.1f);
    options.set_frequency_penalty(0.2f);
    options.set_seed(12345);
    options.set_ignore_eos(true);
    return request;
  }
  static v1::ConverseRequest SecondStart(const std::string& session_id) {
    v1::ConverseRequest request;
    v1::TurnRequest& turn = *request.mutable_start();
    turn.set_session_id(session_id);
    for (const int32_t id : {270, 271, 272}) {
      turn.mutable_tokens()->add_ids(id);
    }
    turn.set_on_disconnect(v1::ON_DISCONNECT_GO_ON);
    turn.set_go_on_ms(60000);
    turn.mutable_options()->set_max_tokens(200);
    turn.mutable_options()->set_temperature(0);
    turn.mutable_options()->set_seed(6);
    turn.mutable_options()->set_ignore_eos(true);
    return request;
  }

  // What a client has of the events of a whole turn, over all its streams.
  std::unique_ptr<FakeClient> Had(const Json& events) {
    auto client = std::make_unique<FakeClient>(&a_->services, "tenant",
                                               SessionUse::kConversation);
    client->reads = false;
    for (const Json& event : events) {
      client->Write(Parsed<v1::ConverseResponse>(event));
    }
    EXPECT_TRUE(client->has_ended);
    return client;
  }
  static void ExpectSame(const FakeClient& is, const FakeClient& was) {
    EXPECT_EQ(is.tokens, was.tokens);
    EXPECT_EQ(is.text, was.text);
    EXPECT_EQ(is.started.turn(), was.started.turn());
    EXPECT_EQ(is.started.prompt_tokens(), was.started.prompt_tokens());
    EXPECT_EQ(is.started.seed(), was.started.seed());
    EXPECT_EQ(is.started.model_id(), was.started.model_id());
    EXPECT_EQ(is.started.fingerprint(), was.started.fingerprint());
    EXPECT_EQ(is.ended.finish_reason(), was.ended.finish_reason());
    EXPECT_EQ(is.ended.usage().prompt_tokens(),
              was.ended.usage().prompt_tokens());
    EXPECT_EQ(is.ended.usage().generated_tokens(),
              was.ended.usage().generated_tokens());
  }
  // A client that resumes the last of `turns` recorded turns, with nothing of
  // it, where the store has `generated` tokens of it; absent: its end.
  FakeClient* ResumeStored(int64_t turns, std::optional<size_t> generated) {
    const std::string id = DrawSessionId();
    const auto is_ok = [](const absl::Status& status) {
      ASSERT_TRUE(status.ok()) << status;
    };
    for (int64_t number = 1; number <= turns; ++number) {
      const Json& turn = recorded_["stored"][static_cast<size_t>(number) - 1];
      const auto bytes = [&turn](const char* key) {
        return absl::HexStringToBytes(turn[key].get<std::string>());
      };
      TurnTokens tokens;
      tokens.key = {id, kFirstDriverEpoch, number};
      tokens.tokens = turn["generated"].get<std::vector<TokenId>>();
      TurnBegin begin;
      begin.key = tokens.key;
      begin.turn = {.fingerprint = turn["fingerprint"].get<std::string>(),
                    .prompt = turn["prompt"].get<std::vector<TokenId>>(),
                    .setup = bytes("setup")};
      if (number == 1) {
        begin.session = {.tenant = "tenant",
                         .model_id = "fake",
                         .vocabulary_fingerprint = "vocabulary"};
      }
      store_.BeginTurn(std::move(begin), is_ok);
      if (number == turns && generated.has_value()) {
        tokens.tokens.resize(*generated);
        store_.AddTokens(std::move(tokens), is_ok);
      } else {
        store_.EndTurn({.last = std::move(tokens),
                        .reason = FinishReason::kLength,
                        .figures = bytes("figures")},
                       is_ok);
      }
    }
    v1::ConverseRequest message;
    message.mutable_resume()->set_session_id(id);
    message.mutable_resume()->set_turn(turns);
    FakeClient* const client = Connect(a_);
    client->Send(message);
    RunToEnd(client);
    return client;
  }
  Json TurnJson(const StoredTurn& turn) {
    return {{"fingerprint", turn.record.fingerprint},
            {"prompt", turn.record.prompt},
            {"setup", absl::BytesToHexString(turn.record.setup)},
            {"generated", turn.generated},
            {"figures", absl::BytesToHexString(turn.figures)}};
  }

  Json recorded_;
};

TEST_F(RecordedSessionTest, DISABLED_RecordSession) {
  const char* const path = std::getenv("TANDEM_RECORD_SESSION");
  ASSERT_NE(path, nullptr);
  Json first = Json::array(), second = Json::array();
  Recorder client(&a_->services, &first);
  client.Send(FirstStart());
  RunToEnd(&client);
  Recorder before(&a_->services, &second);
  before.session_id = client.session_id;
  before.Send(SecondStart(client.session_id));
  RunUntil([&before] { return before.tokens.size() > 50; });
  before.Leave();
  client.Leave();
  RunUntil([&] { return before.finished && client.finished; });
  Json rest = Json::array();
  Recorder after(&a_->services, &rest);
  after.tokens = before.tokens;
  v1::ConverseRequest resume;
  resume.mutable_resume()->set_session_id(client.session_id);
  resume.mutable_resume()->set_turn(2);
  resume.mutable_resume()->set_tokens_received(
      static_cast<int64_t>(before.tokens.size()));
  resume.mutable_resume()->set_text_bytes_received(
      static_cast<int64_t>(before.text.size()));
  after.Send(resume);
  RunToEnd(&after);
  after.Leave();
  RunUntil([&after] { return after.finished.has_value(); });
  second.insert(second.end(), rest.begin() + 1, rest.end());  // one `started`
  const StoredSession stored = store_.Stored(client.session_id);
  std::ofstream(path)
      << Json{{"requests",
               {Hex(FirstStart()), Hex(SecondStart(client.session_id)),
                Hex(resume)}},
              {"first", first},
              {"second", second},
              {"stored",
               {TurnJson(stored.turns[0]), TurnJson(stored.turns[1])}}}
             .dump(1)
      << "\n";
}

TEST_F(RecordedSessionTest, AClientOfThenIsServed) {
  ASSERT_FALSE(recorded_.is_null()) << kFile;
  FakeClient* const first = Connect(a_);
  first->Send(Parsed<v1::ConverseRequest>(recorded_["requests"][0]));
  RunToEnd(first);
  ExpectSame(*first, *Had(recorded_["first"]));
  // Ids of sessions are drawn.
  auto start = Parsed<v1::ConverseRequest>(recorded_["requests"][1]);
  auto resume = Parsed<v1::ConverseRequest>(recorded_["requests"][2]);
  start.mutable_start()->set_session_id(first->session_id);
  resume.mutable_resume()->set_session_id(first->session_id);
  const int64_t had = resume.resume().tokens_received();
  FakeClient* const before = Connect(a_);
  before->Send(start);
  RunUntil([before, had] {
    return static_cast<int64_t>(before->tokens.size()) >= had;
  });
  before->Leave();
  FakeClient* const after = Connect(a_);
  after->tokens = before->tokens;
  after->tokens.resize(static_cast<size_t>(had));
  after->text = before->text.substr(
      0, static_cast<size_t>(resume.resume().text_bytes_received()));
  after->Send(resume);
  RunToEnd(after);
  ExpectSame(*after, *Had(recorded_["second"]));
}

TEST_F(RecordedSessionTest, AStoredTurnOfThenGoesOn) {
  ASSERT_FALSE(recorded_.is_null()) << kFile;
  ExpectSame(*ResumeStored(/*turns=*/2, /*generated=*/70),
             *Had(recorded_["second"]));
}

TEST_F(RecordedSessionTest, AStoredEndOfThenIsHeard) {
  ASSERT_FALSE(recorded_.is_null()) << kFile;
  const auto was = Had(recorded_["first"]);
  const FakeClient* const is = ResumeStored(/*turns=*/1, std::nullopt);
  ExpectSame(*is, *was);
  EXPECT_EQ(is->ended.speculation().SerializeAsString(),
            was->ended.speculation().SerializeAsString());
}

}  // namespace
}  // namespace tandem
