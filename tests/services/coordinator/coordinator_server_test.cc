#include "services/coordinator/coordinator_server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/base/error_reason.h"
#include "services/common/status_conversion.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

using CoordinatorServerTest = ServiceFixture;

TEST_F(CoordinatorServerTest, StreamsATurnThatEqualsAPlainRun) {
  StartAll();
  for (const int draft_length : {0, 1, 4, 16}) {
    SCOPED_TRACE(draft_length);
    v1::GenerateRequest request = Request("w0 w1", 200);
    request.mutable_turn()->mutable_options()->set_draft_length(draft_length);
    const Outcome outcome = Generate(request);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    ExpectPlain(outcome, PromptOf("w0 w1"), 200);
    EXPECT_EQ(outcome.started.model_id(), "fake");
    EXPECT_EQ(outcome.started.turn(), 1);
    EXPECT_EQ(outcome.started.session_id().size(), 32);
    EXPECT_GT(outcome.ended.speculation().rounds(), 0);
    EXPECT_EQ(outcome.ended.speculation().drafted_tokens() > 0,
              draft_length > 0);
  }
}

}  // namespace
}  // namespace tandem
