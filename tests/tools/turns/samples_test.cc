#include "tools/tandem/turns/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "engine/base/status.h"
#include "tests/tools/fake_service.h"

namespace tandem::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class SamplesTest : public ::testing::Test {
 protected:
  absl::StatusOr<TurnRecord> Run(int count) {
    const auto client = *Client::Make({.coordinator = service_.address()});
    Interrupt interrupt;
    return RunSamples({.flags = flags_,
                       .turn = turn_,
                       .count = count,
                       .client = client.get(),
                       .interrupt = &interrupt},
                      {.out = &out_, .err = &err_});
  }

  FakeService service_;
  TurnFlags flags_;
  v1::TurnRequest turn_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(SamplesTest, TheOthersHaveTheSeedThatChoice0Drew) {
  const auto first = Run(3);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->tokens.token_ids(0), 100);
  const std::vector<v1::TurnRequest> turns = service_.turns();
  ASSERT_EQ(turns.size(), 3u);
  EXPECT_FALSE(turns[0].options().has_choice());
  EXPECT_FALSE(turns[0].options().has_seed());
  EXPECT_TRUE(turns[1].options().has_seed());
  EXPECT_TRUE(turns[2].options().has_seed());
}

TEST_F(SamplesTest, StatsAreOfEach) {
  flags_.stats = true;
  ASSERT_TRUE(Run(2).ok());
  EXPECT_THAT(err_.str(), HasSubstr("==> sample 0 <==\ntokens: 2 in"));
  EXPECT_THAT(err_.str(), HasSubstr("==> sample 1 <==\ntokens: 2 in"));
}

TEST_F(SamplesTest, AnErrorEndsThem) {
  service_.error = InvalidField("start.options.top_p", "is wrong");
  EXPECT_THAT(Run(2).status().message(), HasSubstr("--top-p: is wrong"));
  EXPECT_EQ(out_.str(), "");
  // Of a later one: what came before stands there.
  service_.texts = {"one\n"};
  service_.errors_max = 0;
  ASSERT_TRUE(Run(2).ok());
  EXPECT_THAT(out_.str(), EndsWith("==> sample 1 <==\none\n"));
}

TEST_F(SamplesTest, WhatIsOfASingleTurnIsRefused) {
  EXPECT_TRUE(CheckSamples(flags_, turn_).ok());
  flags_.echo = true;
  EXPECT_THAT(CheckSamples(flags_, turn_).message(), HasSubstr("--echo"));
  flags_.echo = false;
  turn_.set_session_id("s");
  EXPECT_THAT(CheckSamples(flags_, turn_).message(), HasSubstr("--session"));
}

}  // namespace
}  // namespace tandem::cli
