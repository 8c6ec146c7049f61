#include "services/common/listen/live_connections.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "engine/base/descriptor.h"

namespace tandem {
namespace {

using Verdict = LiveConnections::Verdict;

Descriptor NewSocket() { return Descriptor(socket(AF_UNIX, SOCK_STREAM, 0)); }

class LiveConnectionsTest : public ::testing::Test {
 protected:
  Verdict Admit(const std::string& peer = "") {
    sockets_.push_back(NewSocket());
    const Verdict verdict =
        live_.Admit(sockets_.back().number(), peer, absl::UnixEpoch() + now_);
    if (verdict != Verdict::kAdmitted) sockets_.pop_back();
    return verdict;
  }

  LiveConnections live_{{.all = 4, .of_peer = 2}};
  std::vector<Descriptor> sockets_;
  absl::Duration now_ = absl::ZeroDuration();
};

TEST_F(LiveConnectionsTest, AreBounded) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Admit(), Verdict::kAdmitted);
  EXPECT_EQ(Admit(), Verdict::kTooMany);
  EXPECT_EQ(live_.size(), 4);
}

TEST_F(LiveConnectionsTest, AClosedOneGivesItsPlace) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Admit(), Verdict::kAdmitted);
  EXPECT_EQ(Admit(), Verdict::kTooMany);  // it was counted
  sockets_.erase(sockets_.begin());
  now_ += kCountInterval;
  // By what has the number now: another socket, or no socket.
  const Descriptor other = NewSocket();
  EXPECT_EQ(Admit(), Verdict::kAdmitted);
  sockets_.erase(sockets_.begin());
  now_ += kCountInterval;
  const Descriptor file(dup(0));
  EXPECT_EQ(Admit(), Verdict::kAdmitted);
  EXPECT_EQ(live_.size(), 4);
}

TEST_F(LiveConnectionsTest, ANumberThatComesAgainIsOneConnection) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Admit("a"), Verdict::kAdmitted);
    sockets_.clear();
  }
  EXPECT_EQ(live_.size(), 1);
}

TEST_F(LiveConnectionsTest, CountsNowAndThenOnly) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Admit(), Verdict::kAdmitted);
  EXPECT_EQ(Admit(), Verdict::kTooMany);
  const Descriptor keeps_number = std::move(sockets_[0]);
  const Descriptor next = NewSocket();
  sockets_.clear();  // three are gone
  const Descriptor holders[] = {Descriptor(dup(0)), Descriptor(dup(0)),
                                Descriptor(dup(0)), Descriptor(dup(0))};
  now_ += kCountInterval / 2;
  EXPECT_EQ(Admit(), Verdict::kTooMany);
  now_ += kCountInterval / 2;
  EXPECT_EQ(Admit(), Verdict::kAdmitted);
  EXPECT_EQ(live_.size(), 2);
}

TEST_F(LiveConnectionsTest, APeerHasABoundOfItsOwn) {
  EXPECT_EQ(Admit("a"), Verdict::kAdmitted);
  EXPECT_EQ(Admit("a"), Verdict::kAdmitted);
  EXPECT_EQ(Admit("a"), Verdict::kTooManyOfPeer);
  EXPECT_EQ(Admit("b"), Verdict::kAdmitted);
  sockets_.erase(sockets_.begin());
  now_ += kCountInterval;
  EXPECT_EQ(Admit("a"), Verdict::kAdmitted);
  EXPECT_EQ(Admit("a"), Verdict::kTooManyOfPeer);
}

}  // namespace
}  // namespace tandem
