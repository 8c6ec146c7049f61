#include "services/client/turn_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "services/client/client.h"
#include "tests/services/client/fake_turns.h"

namespace tandem::client {
namespace {

class TurnStreamTest : public ::testing::Test {
 protected:
  TurnStreamTest() {
    auto client = Client::Make({.address = service_.address()});
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // Until `done` holds; a test that hangs is ended by its runner.
  template <typename Predicate>
  static void WaitFor(Predicate done) {
    while (!done()) absl::SleepFor(absl::Milliseconds(1));
  }

  FakeTurns service_;
  std::unique_ptr<Client> client_;
};

TEST_F(TurnStreamTest, GivesTheEventsOfATurn) {
  service_.turn_number = 5;
  const auto stream = client_->Start({});
  EXPECT_FALSE(stream->started().has_value());
  const NextEvent first = stream->Next();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE((*first)->has_started());
  EXPECT_EQ(stream->started()->fingerprint(), "f00d");
  EXPECT_EQ(stream->position(), (TurnPosition{.session_id = "s1", .turn = 5}));
  const Received rest = ReadAll(stream.get());
  EXPECT_TRUE(rest.error.ok()) << rest.error;
  EXPECT_EQ(rest.text, service_.Text());
  EXPECT_EQ(stream->position().tokens, FakeTurns::kTokens);
  EXPECT_EQ(stream->position().text_bytes,
            static_cast<int64_t>(service_.Text().size()));
  // The turn is over, now and later; nothing happens any more.
  stream->Cancel();
  stream->Leave();
  for (int i = 0; i < 2; ++i) {
    const NextEvent next = stream->Next();
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_FALSE(next->has_value());
  }
}

TEST_F(TurnStreamTest, NextInsideDoneReadsOn) {
  const auto stream = client_->Start({});
  absl::Notification over;
  int events = 0;
  std::function<void(NextEvent)> done = [&](const NextEvent& next) {
    if (!next.ok() || !next->has_value()) return over.Notify();
    ++events;
    stream->Next(done);
  };
  stream->Next(done);
  over.WaitForNotification();
  EXPECT_EQ(events, FakeTurns::kTokens + 2);
}

// Of events of 1 MiB, no more than what fits the connection's windows is sent
// unless it is asked for.
TEST_F(TurnStreamTest, AReaderThatDoesNotAskHoldsTheServiceBack) {
  service_.text_bytes = 1 << 20;
  const auto stream = client_->Start({});
  ASSERT_TRUE(stream->Next().ok());
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_LT(service_.written(), FakeTurns::kTokens);
  EXPECT_EQ(ReadAll(stream.get()).text.size(), service_.Text().size());
}

TEST_F(TurnStreamTest, CancelEndsTheTurnByItsOwnEvent) {
  service_.waits_for_cancel = true;
  const auto stream = client_->Start({});
  ASSERT_EQ(ReadAll(stream.get(), 3).tokens.size(), 2u);
  stream->Cancel();
  const Received rest = ReadAll(stream.get());
  EXPECT_TRUE(rest.error.ok()) << rest.error;
  EXPECT_EQ(rest.finish_reason, v1::FINISH_REASON_CANCELLED);
}

TEST_F(TurnStreamTest, CancelBeforeTheFirstNextEndsItToo) {
  service_.waits_for_cancel = true;
  const auto stream = client_->Start({});
  stream->Cancel();
  EXPECT_EQ(ReadAll(stream.get()).finish_reason, v1::FINISH_REASON_CANCELLED);
}

TEST_F(TurnStreamTest, ATurnThatWasLeftIsResumedByItsPosition) {
  service_.waits_for_cancel = true;
  auto stream = client_->Start({});
  EXPECT_EQ(ReadAll(stream.get(), 4).tokens.size(), 3u);
  absl::Notification done;
  absl::Status error;
  std::thread reading([&] {
    // What was sent already is given still.
    while (error.ok()) error = stream->Next().status();
    done.Notify();
  });
  WaitFor([&] { return service_.written() == FakeTurns::kTokens + 1; });
  stream->Leave();
  done.WaitForNotification();
  reading.join();
  EXPECT_EQ(error.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(stream->Next().status().code(), absl::StatusCode::kCancelled);
  WaitFor([&] { return service_.left() == 1; });

  const TurnPosition position = stream->position();
  stream = client_->Resume(position);
  stream->Cancel();
  const Received rest = ReadAll(stream.get());
  EXPECT_TRUE(rest.error.ok()) << rest.error;
  EXPECT_EQ(rest.started, 1);
  EXPECT_EQ(static_cast<int64_t>(rest.tokens.size()),
            FakeTurns::kTokens - position.tokens);
  EXPECT_EQ(rest.text,
            service_.Text().substr(static_cast<size_t>(position.text_bytes)));
}

TEST_F(TurnStreamTest, TheDestructorLeaves) {
  service_.waits_for_cancel = true;
  auto stream = client_->Start({});
  ASSERT_TRUE(stream->Next().ok());
  stream.reset();
  WaitFor([&] { return service_.left() == 1; });
}

TEST_F(TurnStreamTest, ADoneMayHoldTheLastReference) {
  auto stream = client_->Start({});
  TurnStream* const next = stream.get();
  absl::Notification done;
  next->Next([&done, stream = std::move(stream)](const NextEvent& event) {
    EXPECT_TRUE(event.ok());
    done.Notify();
  });
  done.WaitForNotification();
}

TEST_F(TurnStreamTest, AStreamThatOutlivesItsClientIsOver) {
  service_.waits_for_cancel = true;
  const auto idle = client_->Start({});
  const auto stream = client_->Start({});
  ASSERT_TRUE(ReadAll(stream.get(), FakeTurns::kTokens + 1).error.ok());
  absl::Notification done;
  stream->Next([&done](const NextEvent& next) {
    EXPECT_EQ(next.status().code(), absl::StatusCode::kCancelled);
    done.Notify();
  });
  client_.reset();
  EXPECT_TRUE(done.HasBeenNotified());
  EXPECT_EQ(idle->Next().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(TurnStreamTest, AnyThreadMayDoAnything) {
  service_.waits_for_cancel = true;
  for (int round = 0; round < 20; ++round) {
    service_.Expect({{.events = 1 + round % FakeTurns::kTokens,
                      .status = grpc::Status(grpc::StatusCode::UNAVAILABLE,
                                             "Socket closed")}});
    const auto stream = client_->Start({});
    std::vector<std::thread> threads;
    threads.emplace_back([&stream] { ReadAll(stream.get()); });
    threads.emplace_back([&stream] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_LE(stream->position().tokens, FakeTurns::kTokens);
        EXPECT_TRUE(!stream->started().has_value() ||
                    stream->started()->turn() == 1);
      }
    });
    threads.emplace_back([&stream] { stream->Cancel(); });
    if (round % 2 == 0) threads.emplace_back([&stream] { stream->Leave(); });
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace tandem::client
