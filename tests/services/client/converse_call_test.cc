#include "services/client/converse_call.h"

#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "services/common/channel.h"
#include "tests/services/client/fake_turns.h"

namespace tandem::client {
namespace {

// Reads on until `pause_after` events have come.
class Reader final : public StreamListener {
 public:
  explicit Reader(int pause_after = 1 << 20) : pause_after_(pause_after) {}

  void OnEvent(v1::ConverseResponse event) override {
    const bool is_end = event.has_ended();
    std::shared_ptr<ConverseCall> call;
    {
      absl::MutexLock lock(&mutex_);
      events_.push_back(std::move(event));
      call = call_;
      if (static_cast<int>(events_.size()) == pause_after_) {
        paused.Notify();
        return;
      }
    }
    is_end ? call->Finish() : call->Read();
  }
  void OnEnd(const StreamEnd& stream_end) override {
    end = stream_end;
    ended.Notify();
  }

  void Begin(std::shared_ptr<ConverseCall> call) {
    {
      absl::MutexLock lock(&mutex_);
      call_ = call;
    }
    call->Read();
  }
  // Ends the cycle.
  std::shared_ptr<ConverseCall> Release() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(call_, nullptr);
  }
  int events() const {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(events_.size());
  }

  absl::Notification paused;
  absl::Notification ended;
  StreamEnd end;  // once ended

 private:
  const int pause_after_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<ConverseCall> call_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ConverseResponse> events_ ABSL_GUARDED_BY(mutex_);
};

class ConverseCallTest : public ::testing::Test {
 protected:
  ~ConverseCallTest() override { live_->CloseAll(); }

  void Start(const std::string& address, std::shared_ptr<Reader> reader,
             absl::Time deadline = absl::InfiniteFuture()) {
    stub_ = v1::GenerationService::NewStub(
        MakeChannel(address, grpc::InsecureChannelCredentials()));
    v1::ConverseRequest first;
    first.mutable_start()->set_text("p");
    reader->Begin(ConverseCall::Start({.hold = LiveTurns::Hold(live_),
                                       .stub = stub_.get(),
                                       .api_key = "k",
                                       .deadline = deadline,
                                       .listener = reader},
                                      std::move(first)));
  }

  std::unique_ptr<v1::GenerationService::Stub> stub_;
  const std::shared_ptr<LiveTurns> live_ = std::make_shared<LiveTurns>();
};

TEST_F(ConverseCallTest, FinishEndsAStreamWell) {
  FakeTurns service;
  const auto reader = std::make_shared<Reader>();
  Start(service.address(), reader);
  reader->ended.WaitForNotification();
  reader->Release();
  EXPECT_TRUE(reader->end.status.ok()) << reader->end.status.error_message();
  EXPECT_TRUE(reader->end.first_was_sent);
  EXPECT_EQ(reader->events(), FakeTurns::kTokens + 2);
  EXPECT_EQ(service.authorization(), "Bearer k");
  EXPECT_EQ(service.firsts().at(0).start().text(), "p");
  EXPECT_EQ(service.left(), 0);
}

TEST_F(ConverseCallTest, AbortEndsAStreamThatIsNotRead) {
  FakeTurns service;
  const auto reader = std::make_shared<Reader>(/*pause_after=*/2);
  Start(service.address(), reader);
  reader->paused.WaitForNotification();
  reader->Release()->Abort();
  reader->ended.WaitForNotification();
  EXPECT_EQ(reader->end.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(reader->events(), 2);
}

TEST_F(ConverseCallTest, CancelIsAMessage) {
  FakeTurns service;
  service.waits_for_cancel = true;
  const auto reader = std::make_shared<Reader>(FakeTurns::kTokens + 1);
  Start(service.address(), reader);
  reader->paused.WaitForNotification();
  const std::shared_ptr<ConverseCall> call = reader->Release();
  call->Cancel();
  reader->Begin(call);
  reader->ended.WaitForNotification();
  reader->Release();
  EXPECT_TRUE(reader->end.status.ok());
  EXPECT_EQ(reader->events(), FakeTurns::kTokens + 2);
}

TEST_F(ConverseCallTest, WhereNobodyListensNothingIsSent) {
  const auto reader = std::make_shared<Reader>();
  Start("unix:/nonexistent/socket", reader);
  reader->ended.WaitForNotification();
  reader->Release();
  EXPECT_EQ(reader->end.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(reader->end.first_was_sent);
}

TEST_F(ConverseCallTest, TheDeadlineEndsTheCall) {
  FakeTurns service;
  service.waits_for_cancel = true;
  const auto reader = std::make_shared<Reader>();
  Start(service.address(), reader, absl::Now() + absl::Milliseconds(200));
  reader->ended.WaitForNotification();
  reader->Release();
  EXPECT_EQ(reader->end.status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ConverseCallTest, CallsGoOnWithoutTheirOwner) {
  FakeTurns service;
  service.waits_for_cancel = true;
  const auto reader = std::make_shared<Reader>(/*pause_after=*/1);
  Start(service.address(), reader);
  reader->paused.WaitForNotification();
  std::weak_ptr<ConverseCall> call = reader->Release();
  ASSERT_FALSE(call.expired());
  call.lock()->Abort();
  live_->CloseAll();  // returns when it is over
  EXPECT_TRUE(call.expired());
  EXPECT_TRUE(reader->ended.HasBeenNotified());
}

}  // namespace
}  // namespace tandem::client
