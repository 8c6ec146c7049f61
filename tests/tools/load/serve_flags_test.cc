#include "tools/load/serve.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "CLI/CLI.hpp"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/tandem/base/command.h"

namespace tandem::load {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<ServeFlags> Parse(std::vector<std::string> arguments) {
  CLI::App app;
  ServeFlags flags;
  AddServeFlags(&app, &flags);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return cli::UsageError(error.what());
  }
  std::istringstream in;
  std::ostringstream out;
  return CheckServeFlags(flags, {.in = &in, .out = &out, .err = &out});
}

std::string Refusal(const std::vector<std::string>& arguments) {
  const absl::StatusOr<ServeFlags> plan = Parse(arguments);
  EXPECT_EQ(GetErrorDetail(plan.status())->reason, "USAGE");
  return std::string(plan.status().message());
}

TEST(ServeFlagsTest, Defaults) {
  const absl::StatusOr<ServeFlags> plan = Parse({});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->load.sessions, 1);
  EXPECT_EQ(plan->load.duration, milliseconds(10000));
  EXPECT_EQ(plan->load.prompt_tokens.low, 64);
  EXPECT_EQ(plan->load.output_tokens.high, 64);
  EXPECT_TRUE(plan->common.options().ignore_eos());
  EXPECT_FALSE(plan->common.options().has_temperature());
  EXPECT_FALSE(plan->load.draft_length.has_value());
  EXPECT_TRUE(plan->sweep.lengths.empty());
}

TEST(ServeFlagsTest, AllThatIsAskedFor) {
  const absl::StatusOr<ServeFlags> plan = Parse({"--rate",
                                                 "2.5",
                                                 "--sessions-max",
                                                 "9",
                                                 "--requests",
                                                 "7",
                                                 "--duration",
                                                 "3",
                                                 "--warmup",
                                                 "0.5",
                                                 "--think-ms",
                                                 "20",
                                                 "--turns",
                                                 "4",
                                                 "--prompt-tokens",
                                                 "10..20",
                                                 "--output-tokens",
                                                 "8",
                                                 "--shared-prefix",
                                                 "100",
                                                 "--prefix-groups",
                                                 "3",
                                                 "--seed",
                                                 "5",
                                                 "--greedy",
                                                 "--draft-length",
                                                 "4",
                                                 "--draft-sources",
                                                 "model",
                                                 "--stop-at-eos"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->load.rate, 2.5);
  EXPECT_EQ(plan->load.sessions_max, 9);
  EXPECT_EQ(plan->load.requests, 7);
  EXPECT_EQ(plan->load.duration, milliseconds(3000));
  EXPECT_EQ(plan->load.warmup, milliseconds(500));
  EXPECT_EQ(plan->load.think, milliseconds(20));
  EXPECT_EQ(plan->load.turns, 4);
  EXPECT_EQ(plan->load.prompt_tokens.low, 10);
  EXPECT_EQ(plan->load.prompt_tokens.high, 20);
  EXPECT_EQ(plan->load.shared_prefix_tokens, 100);
  EXPECT_EQ(plan->load.prefix_groups, 3);
  EXPECT_EQ(plan->load.seed, 5u);
  EXPECT_EQ(plan->load.draft_length, 4);
  EXPECT_EQ(plan->common.options().temperature(), 0);
  EXPECT_EQ(plan->common.options().repetition_penalty(), 1);
  EXPECT_FALSE(plan->common.options().ignore_eos());
  EXPECT_EQ(plan->common.options().draft_sources(), v1::DRAFT_SOURCES_MODEL);
}

TEST(ServeFlagsTest, RequestsAloneHaveNoTimeLimit) {
  EXPECT_EQ(Parse({"--requests", "7"})->load.duration, milliseconds(0));
  EXPECT_EQ(Parse({"--warmup", "3"})->load.duration, milliseconds(13000));
}

TEST(ServeFlagsTest, ASweepIsAListOfLengths) {
  const absl::StatusOr<ServeFlags> plan =
      Parse({"--sweep", "0,4,auto", "--rounds", "5"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->sweep.lengths,
              ElementsAre(DraftLength(0), DraftLength(4), DraftLength()));
  EXPECT_EQ(plan->sweep.rounds, 5);
}

TEST(ServeFlagsTest, RepliesMayHaveAFormat) {
  EXPECT_FALSE(Parse({"--sweep", "0"})->sweep.has_format);
  const std::string path = ::testing::TempDir() + "/serve_flags_schema.json";
  std::ofstream(path) << "{\"type\": \"null\"}";
  const absl::StatusOr<ServeFlags> plan =
      Parse({"--json-schema", path, "--sweep", "0,auto"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->common.options().response_format().json_schema(),
            "{\"type\": \"null\"}");
  EXPECT_TRUE(plan->sweep.has_format);
  EXPECT_TRUE(plan->load.with_format);
  EXPECT_THAT(Refusal({"--json-schema", path, "--regex", "a"}),
              HasSubstr("--json-schema and --regex"));
  EXPECT_THAT(Refusal({"--openai", "http://localhost:1", "--vocab", "100",
                       "--json-schema", path}),
              HasSubstr("--json-schema"));
  EXPECT_FALSE(Parse({"--json-schema", path + ".none"}).ok());
}

TEST(ServeFlagsTest, WhatIsWrongIsNamed) {
  for (const char* range :
       {"0", "x", "5..", "9..3", "1..2..3", "-4", "2000000"}) {
    EXPECT_THAT(Refusal({"--prompt-tokens", range}),
                HasSubstr("--prompt-tokens"))
        << range;
    EXPECT_THAT(Refusal({"--output-tokens", range}),
                HasSubstr("--output-tokens"))
        << range;
  }
  EXPECT_THAT(Refusal({"--draft-length", "17"}), HasSubstr("--draft-length"));
  EXPECT_THAT(Refusal({"--sweep", "0,x"}), HasSubstr("--sweep"));
  EXPECT_THAT(Refusal({"--sweep", "0", "--draft-length", "1"}),
              HasSubstr("exclude"));
  EXPECT_THAT(Refusal({"--duration", "2", "--warmup", "2"}),
              HasSubstr("--warmup"));
  EXPECT_THAT(Refusal({"--greedy", "--temperature", "1"}),
              HasSubstr("--greedy"));
  EXPECT_THAT(Refusal({"--temperature", "-1"}), HasSubstr("--temperature"));
  EXPECT_THAT(Refusal({"--draft-sources", "x"}), HasSubstr("--draft-sources"));
  EXPECT_THAT(Refusal({"--sessions", "20000"}), HasSubstr("--connections"));
}

TEST(ServeFlagsTest, OtherServersDoNotTakeEverything) {
  const std::vector<std::string> base = {"--openai", "http://localhost:1",
                                         "--vocab", "100"};
  EXPECT_TRUE(Parse(base).ok());
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"--sweep", "0,1"},
                                             {"--draft-length", "1"},
                                             {"--draft-sources", "model"},
                                             {"--turns", "2"},
                                             {"--sessions", "600"}}) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_THAT(Refusal(arguments), HasSubstr(more.front())) << more.front();
  }
  EXPECT_THAT(Refusal({"--openai", "http://localhost:1"}),
              HasSubstr("--vocab"));
  EXPECT_THAT(Refusal({"--openai", "http://localhost:1", "--vocab", "100",
                       "--rate", "1"}),
              HasSubstr("--sessions-max"));
}

}  // namespace
}  // namespace tandem::load
