#include "tools/load/serve.h"

#include <httplib.h>

#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::load {
namespace {

using cli::FakeService;
using cli::RunResult;
using cli::RunTandem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ServeTest : public ::testing::Test {
 protected:
  RunResult Serve(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--coordinator", service_.address(),
                                          "bench", "serve"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTandem(arguments);
  }

  FakeService service_;
};

TEST_F(ServeTest, ReportsALoadAsOneObject) {
  const RunResult result =
      Serve({"--sessions", "3", "--requests", "9", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["turns"]["ended"], 9);
  EXPECT_EQ(json["throughput"]["generated_tokens"], 18);
  EXPECT_EQ(json["latency_us"]["first_token"]["count"], 9);
  EXPECT_EQ(json["speculation"]["rounds"], 9);
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.tokens().ids_size(), 64);
  EXPECT_LT(turn.tokens().ids(0), 4096);
  EXPECT_TRUE(turn.options().ignore_eos());
  EXPECT_FALSE(turn.options().has_draft_length());
}

TEST_F(ServeTest, ReportsALoadAsText) {
  const RunResult result =
      Serve({"--requests", "2", "--draft-length", "3", "--progress", "json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("turns: ended 2"), HasSubstr("between_events"),
                    HasSubstr("drafted_tokens 8, accepted_tokens 2")));
  EXPECT_EQ(service_.last_turn().options().draft_length(), 3);
}

TEST_F(ServeTest, SweepsDraftLengths) {
  const RunResult result = Serve(
      {"--requests", "2", "--sweep", "0,2,auto", "--rounds", "2", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto rows = nlohmann::json::parse(result.out)["sweep"];
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["draft_length"], 0);
  EXPECT_EQ(rows[0]["ratio_to_plain"], 1);
  EXPECT_EQ(rows[0]["tokens_per_second_by_round"].size(), 2u);
  EXPECT_EQ(rows[2]["draft_length"], "auto");
  EXPECT_EQ(rows[2]["turns"]["ended"], 4);
  EXPECT_GT(rows[2]["ratio_to_best_fixed"], 0);
}

TEST_F(ServeTest, RepliesHaveTheFormatThatIsAskedFor) {
  const std::string path = ::testing::TempDir() + "/serve_schema.json";
  std::ofstream(path) << "{\"type\": \"null\"}";
  const RunResult result = Serve({"--requests", "1", "--json-schema", path});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(service_.last_turn().options().response_format().json_schema(),
            "{\"type\": \"null\"}");
  const RunResult swept = Serve({"--requests", "1", "--sweep", "2", "--rounds",
                                 "1", "--json-schema", path, "--json"});
  ASSERT_EQ(swept.code, 0) << swept.err;
  const auto rows = nlohmann::json::parse(swept.out)["sweep"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1]["with_format"], true);
  EXPECT_GT(rows[1]["ratio_to_free"], 0);
}

TEST_F(ServeTest, ErrorsAreInTheReport) {
  service_.end_early = true;
  const RunResult result = Serve({"--requests", "1", "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["turns"]["failed"], 1);
  EXPECT_EQ(json["errors"]["INTERNAL"], 1);
}

TEST_F(ServeTest, WrongFlagsAreUsageErrors) {
  for (const std::vector<std::string>& flags :
       std::vector<std::vector<std::string>>{
           {"--sessions", "0"},
           {"--rate", "-1"},
           {"--rate", "1", "--sessions", "2"},
           {"--prompt-tokens", "x"},
           {"--sweep", "17"},
           {"--progress", "x"},

           {"--openai", "localhost", "--vocab", "9"}}) {
    const RunResult result = Serve(flags);
    EXPECT_EQ(result.code, 2) << flags.front();
    EXPECT_THAT(result.err, HasSubstr("tandem: ")) << flags.front();
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(ServeTest, AServerThatIsNotThereIsOneLine) {
  // Port 1 is nobody's in a container.
  const RunResult result =
      RunTandem({"--coordinator", "127.0.0.1:1", "bench", "serve"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach the coordinator"));
  EXPECT_EQ(Serve({"--model", "unknown"}).code, 1);
}

TEST(ServeOpenAiTest, LoadsAnotherServer) {
  httplib::Server server;
  server.Post("/v1/completions",
              [](const httplib::Request&, httplib::Response& response) {
                response.set_content(
                    "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"
                    "data: {\"choices\":[{\"text\":\"b\","
                    "\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
                    "text/event-stream");
              });
  const int port = server.bind_to_any_port("127.0.0.1");
  std::thread thread([&server] { server.listen_after_bind(); });
  while (!server.is_running()) std::this_thread::yield();
  const std::string url = absl::StrCat("http://127.0.0.1:", port);
  const RunResult without = RunTandem({"bench", "serve", "--openai", url});
  const RunResult result =
      RunTandem({"bench", "serve", "--openai", url, "--vocab", "100",
                 "--sessions", "2", "--requests", "4", "--json"});
  server.stop();
  thread.join();
  EXPECT_EQ(without.code, 2);
  EXPECT_THAT(without.err, HasSubstr("--vocab"));
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["turns"]["ended"], 4);
  EXPECT_EQ(json["throughput"]["generated_tokens"], 8);
  EXPECT_EQ(json["finish_reasons"]["length"], 4);
}

}  // namespace
}  // namespace tandem::load
