#include "services/common/tls_probe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "engine/base/descriptor.h"
#include "engine/base/monotonic_clock.h"

namespace tandem {
namespace {

// Findings with real servers: connection_probe_test. Here the other end of a
// pair of sockets says what no TLS server would.
class TlsProbeTest : public ::testing::Test {
 protected:
  TlsProbeTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    own_ = Descriptor(pair[0]);
    other_ = Descriptor(pair[1]);
  }

  TlsOutcome Probe() {
    return ProbeTls(own_.number(),
                    {.files = {},
                     .server_name = "localhost",
                     .deadline = MonotonicNow() + absl::Milliseconds(300)})
        .outcome;
  }
  void Answer(const std::string& bytes) {
    ASSERT_EQ(send(other_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  Descriptor own_;
  Descriptor other_;
};

TEST_F(TlsProbeTest, OtherProtocolsAreNoTls) {
  Answer("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(Probe(), TlsOutcome::kNoTls);
}

TEST_F(TlsProbeTest, AServerThatHangsUpHasNoTls) {
  other_ = Descriptor();
  EXPECT_EQ(Probe(), TlsOutcome::kNoTls);
}

TEST_F(TlsProbeTest, AnAlertIsARefusal) {
  Answer(std::string("\x15\x03\x03\0\x02\x02\x28", 7));  // handshake failure
  const TlsFindings found = ProbeTls(
      own_.number(), {.files = {},
                      .server_name = "localhost",
                      .deadline = MonotonicNow() + absl::Milliseconds(300)});
  EXPECT_EQ(found.outcome, TlsOutcome::kRefused);
  EXPECT_NE(found.detail.find("handshake failure"), std::string::npos)
      << found.detail;
  EXPECT_FALSE(found.asked_for_certificate);
}

TEST_F(TlsProbeTest, SilenceEndsAtTheDeadline) {
  const absl::Time begin = MonotonicNow();
  EXPECT_EQ(Probe(), TlsOutcome::kNoAnswer);
  EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(300));
}

// The other end neither reads nor says anything that ends the handshake.
TEST_F(TlsProbeTest, HalfARecordIsUnfinished) {
  Answer("\x16\x03");
  EXPECT_EQ(Probe(), TlsOutcome::kUnfinished);
}

TEST_F(TlsProbeTest, FilesThatCanNotBeUsedFindNothing) {
  EXPECT_EQ(ProbeTls(own_.number(),
                     {.files = {.ca = "/nonexistent", .cert = "", .key = ""},
                      .server_name = "localhost",
                      .deadline = MonotonicNow() + absl::Seconds(1)})
                .outcome,
            TlsOutcome::kUnfinished);
}

}  // namespace
}  // namespace tandem
