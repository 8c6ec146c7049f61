#include "services/gateway/server/stream_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

class StreamStoreTest : public ::testing::Test {
 protected:
  void StartStore(absl::Duration time) {
    store_ = std::make_unique<StreamStore>(
        [this](const StoredStream& stream) {
          absl::MutexLock lock(&mutex_);
          cancelled_.push_back(stream.name.turn);
        },
        time);
  }
  int64_t Put(int64_t turn, const std::string& key = "k") {
    return store_->Put({.name = Name(turn),
                        .format = {.id = absl::StrCat("id", turn)},
                        .call = {.api_key = key},
                        .turn = nullptr});
  }
  static TurnName Name(int64_t turn) {
    return {.session_id = kSession, .turn = turn};
  }
  std::vector<int64_t> cancelled() {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  absl::Mutex mutex_;
  std::vector<int64_t> cancelled_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<StreamStore> store_;
};

TEST_F(StreamStoreTest, BelongsToTheOneWithTheKey) {
  StartStore(absl::Hours(1));
  Put(1, "secret");
  ASSERT_TRUE(store_->Find(Name(1), "secret").has_value());
  EXPECT_EQ(store_->Find(Name(1), "secret")->format.id, "id1");
  EXPECT_FALSE(store_->Find(Name(1), "secreT").has_value());
  EXPECT_FALSE(store_->Find(Name(1), "").has_value());
  EXPECT_FALSE(store_->Find(Name(2), "secret").has_value());
}

TEST_F(StreamStoreTest, WhatNobodyComesBackToIsCancelled) {
  StartStore(absl::Milliseconds(1));
  const int64_t left = Put(1);
  const int64_t ended = Put(2);
  Put(3);
  store_->Leave(Name(1), left, /*has_ended=*/false);
  store_->Leave(Name(2), ended, /*has_ended=*/true);
  while (store_->left() > 0) absl::SleepFor(absl::Milliseconds(1));
  while (cancelled().empty()) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(cancelled(), (std::vector<int64_t>{1}));
  EXPECT_FALSE(store_->Find(Name(1), "k").has_value());
  EXPECT_FALSE(store_->Find(Name(2), "k").has_value());
  EXPECT_TRUE(store_->Find(Name(3), "k").has_value()) << "it is being sent";
}

TEST_F(StreamStoreTest, WhoComesBackHasItAgain) {
  StartStore(absl::Milliseconds(200));
  const int64_t first = Put(1);
  store_->Leave(Name(1), first, /*has_ended=*/false);
  const int64_t second = Put(1);
  // The first connection is noticed late.
  store_->Leave(Name(1), first, /*has_ended=*/false);
  while (store_->left() > 0) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_TRUE(cancelled().empty());
  EXPECT_TRUE(store_->Find(Name(1), "k").has_value());
  EXPECT_NE(first, second);
}

TEST_F(StreamStoreTest, TheFirstOnesGoWhereThereAreTooMany) {
  StartStore(absl::Hours(1));
  for (int64_t turn = 1; turn <= static_cast<int64_t>(kLeftStreamsMax) + 2;
       ++turn) {
    store_->Leave(Name(turn), Put(turn), /*has_ended=*/false);
  }
  while (cancelled().size() < 2) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(cancelled(), (std::vector<int64_t>{1, 2}));
}

TEST_F(StreamStoreTest, OneThatComesAndGoesCountsOnce) {
  StartStore(absl::Hours(1));
  store_->Leave(Name(1), Put(1), /*has_ended=*/false);
  for (int i = 0; i < 6; ++i) {
    const int64_t number = store_->Put(
        {.name = Name(2),
         .format = {.echo = Echo{.text = std::string(kLeftBytesMax / 4, 'x')}},
         .call = {},
         .turn = nullptr});
    store_->Leave(Name(2), number, /*has_ended=*/false);
  }
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_THAT(cancelled(), ::testing::IsEmpty());
  EXPECT_TRUE(store_->Find(Name(1), "k").has_value());
}

TEST_F(StreamStoreTest, TheFirstOnesGoWhereTheyKeepTooMuch) {
  StartStore(absl::Hours(1));
  for (int64_t turn = 1; turn <= 4; ++turn) {
    const int64_t number = store_->Put(
        {.name = Name(turn),
         .format = {.echo = Echo{.text = std::string(kLeftBytesMax / 4, 'x')}},
         .call = {},
         .turn = nullptr});
    store_->Leave(Name(turn), number, /*has_ended=*/false);
  }
  while (cancelled().empty()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(cancelled(), (std::vector<int64_t>{1}));
  EXPECT_EQ(store_->left(), 3u);
  // What is repeated counts too.
  ReplyFormat format;
  format.repeated["instructions"] = std::string(kLeftBytesMax, 'x');
  store_->Leave(
      Name(5),
      store_->Put(
          {.name = Name(5), .format = format, .call = {}, .turn = nullptr}),
      /*has_ended=*/false);
  while (store_->left() > 0) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_FALSE(store_->Find(Name(5), "").has_value());
}

}  // namespace
}  // namespace tandem::gateway
