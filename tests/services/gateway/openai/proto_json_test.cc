#include "services/gateway/openai/proto_json.h"

#include <gtest/gtest.h>

#include "tandem/v1/coordinator_admin.pb.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {
namespace {

TEST(ToJsonTest, NumbersAreNumbersAndEnumsAreWords) {
  v1::GetStatusResponse status;
  status.set_version("0.1.0");
  status.set_sessions(int64_t{1} << 40);
  v1::WorkerStatus* worker = status.add_workers();
  worker->set_role(v1::POOL_ROLE_TARGET);
  worker->set_state(v1::WORKER_STATE_SERVING);
  const OrderedJson json = ToJson(status);
  EXPECT_EQ(json["sessions"], int64_t{1} << 40);
  EXPECT_EQ(json["draining"], false);
  EXPECT_EQ(json["workers"][0]["role"], "target");
  EXPECT_EQ(json["workers"][0]["state"], "serving");
  EXPECT_EQ(json["workers"][0]["reason"], "");
}

TEST(ToJsonTest, WhatIsNotSetIsLeftOutWhereThatIsKnown) {
  v1::GenerationOptions options;
  EXPECT_FALSE(ToJson(options).contains("temperature"));
  options.set_temperature(0.5);
  options.add_stop_strings(std::string("x"));
  const OrderedJson json = ToJson(options);
  EXPECT_EQ(json["temperature"], 0.5);
  EXPECT_EQ(json["stop_strings"][0], "x");
  EXPECT_EQ(json["draft_sources"], "unspecified");
  EXPECT_FALSE(ToJson(v1::TurnEnded()).contains("usage"));
}

TEST(ToJsonTest, RepeatedNumbers) {
  v1::SpeculationStats stats;
  stats.add_drafted_by_position(4);
  stats.set_no_draft_reason(v1::NO_DRAFT_REASON_DOES_NOT_PAY);
  const OrderedJson json = ToJson(stats);
  EXPECT_EQ(json["drafted_by_position"], OrderedJson::array({4}));
  EXPECT_EQ(json["no_draft_reason"], "does_not_pay");
}

}  // namespace
}  // namespace tandem::gateway
