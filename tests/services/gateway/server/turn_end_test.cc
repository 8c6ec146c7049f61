#include "services/gateway/server/turn_end.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

class EndTurnTest : public GatewayFixture {};

TEST_F(EndTurnTest, TheServiceIsAskedToEndIt) {
  service_.wait_for_cancel = true;
  const std::unique_ptr<client::Client> client = MakeClient();
  v1::TurnRequest request;
  request.set_text("Once");
  std::weak_ptr<client::TurnStream> ended;
  {
    const std::shared_ptr<client::TurnStream> turn = client->Start(request);
    ended = turn;
    ASSERT_TRUE(turn->Next().ok());
    EndTurn(turn);
  }
  // It is held until its end has come, which it does by the cancel alone.
  while (!ended.expired()) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace
}  // namespace tandem::gateway
