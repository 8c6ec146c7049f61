#include "engine/session/engine_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

constexpr int kPageTokens = 32;

class EngineCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    image_ = TinyModel(TinyModelSpec()).Serialize();
    ASSERT_TRUE(store_.AddBytes("tiny", image_).ok());
  }

  EngineCache::Lease MustTake(const EngineRequest& request) {
    absl::StatusOr<EngineCache::Lease> lease =
        EngineCache::Of(store_).Take(store_, request);
    EXPECT_TRUE(lease.ok()) << lease.status();
    return *std::move(lease);
  }

  static EngineRequest Request(int64_t tokens) {
    return {.model_id = "tiny", .options = {.threads = 1}, .tokens = tokens};
  }

  static int64_t KvTokens(const EngineCache::Lease& lease) {
    return lease.engine()->kv_usage().pages_total * kPageTokens;
  }

  std::string image_;
  ModelStore store_;
};

TEST_F(EngineCacheTest, AStoreHasOneCache) {
  ModelStore other;
  EXPECT_EQ(&EngineCache::Of(store_), &EngineCache::Of(store_));
  EXPECT_NE(&EngineCache::Of(store_), &EngineCache::Of(other));
}

TEST_F(EngineCacheTest, AnEngineThatWasGivenBackIsTakenAgain) {
  const Engine* first = nullptr;
  {
    const EngineCache::Lease lease = MustTake(Request(40));
    first = lease.engine();
  }
  EXPECT_EQ(MustTake(Request(40)).engine(), first);
  EXPECT_EQ(MustTake(Request(1)).engine(), first);
  EXPECT_EQ(EngineCache::Lease().engine(), nullptr);
}

TEST_F(EngineCacheTest, OtherOptionsAreAnotherKind) {
  const Engine* first = nullptr;
  {
    const EngineCache::Lease lease = MustTake(Request(40));
    first = lease.engine();
    EngineRequest other = Request(40);
    other.options.context_max = 64;
    const EngineCache::Lease second = MustTake(other);
    EXPECT_EQ(second.engine()->info().context_max, 64);
    EXPECT_NE(second.engine(), first);
  }
  EXPECT_EQ(MustTake(Request(40)).engine(), first);
}

TEST_F(EngineCacheTest, CallersAtTheSameTimeHaveEnginesOfTheirOwn) {
  EngineCache::Lease first = MustTake(Request(40));
  const Engine* const address = first.engine();
  EngineCache::Lease second = MustTake(Request(70));
  EXPECT_NE(second.engine(), address);
  // The larger one is kept, whichever comes back last.
  const Engine* const larger = second.engine();
  second = {};
  first = {};
  EXPECT_EQ(MustTake(Request(40)).engine(), larger);
}

TEST_F(EngineCacheTest, KvIsAsLargeAsARequestAndGrows) {
  EXPECT_EQ(KvTokens(MustTake(Request(40))), 64) << "whole pages";
  EXPECT_EQ(KvTokens(MustTake(Request(10))), 64) << "is kept";
  // By half more: twice the KV.
  EXPECT_EQ(KvTokens(MustTake(Request(70))), 96) << "twice 40, in pages";
  EXPECT_EQ(KvTokens(MustTake(Request(100000))), 256) << "the whole context";
  EngineRequest fixed = Request(100);
  fixed.options.kv_tokens = 32;
  EXPECT_EQ(KvTokens(MustTake(fixed)), 32) << "as asked for";
}

TEST_F(EngineCacheTest, ARemovedModelIsLetGo) {
  MustTake(Request(40));
  EngineCache::Lease in_use = MustTake(Request(40));
  const std::weak_ptr<const Model> model = *store_.Get("tiny");
  ASSERT_TRUE(store_.Remove("tiny").ok());
  EXPECT_FALSE(model.expired()) << "is in use";
  in_use = {};
  EXPECT_TRUE(model.expired()) << "not kept";
  EXPECT_EQ(
      GetErrorDetail(EngineCache::Of(store_).Take(store_, Request(1)).status())
          ->reason,
      kReasonUnknownModel);
  // Another model of that name.
  ASSERT_TRUE(store_.AddBytes("tiny", image_).ok());
  EXPECT_NE(MustTake(Request(1)).engine(), nullptr);
}

TEST_F(EngineCacheTest, AnEngineInUseIsKeptWhenAnotherModelIsRemoved) {
  ASSERT_TRUE(store_.AddBytes("other", image_).ok());
  EngineCache::Lease in_use = MustTake(Request(40));
  const Engine* const engine = in_use.engine();
  const std::weak_ptr<const Model> model = *store_.Get("tiny");
  ASSERT_TRUE(store_.Remove("other").ok());
  EXPECT_EQ(model.use_count(), 2) << "of the store and the engine";
  in_use = {};
  EXPECT_EQ(model.use_count(), 2) << "the engine is kept";
  EXPECT_EQ(MustTake(Request(40)).engine(), engine);
}

TEST_F(EngineCacheTest, AnIdleEngineOfARemovedModelGoesAtOnce) {
  MustTake(Request(40));
  const std::weak_ptr<const Model> model = *store_.Get("tiny");
  ASSERT_TRUE(store_.Remove("tiny").ok());
  EXPECT_TRUE(model.expired());
}

TEST_F(EngineCacheTest, FewIdleEnginesAreKept) {
  std::vector<EngineRequest> requests;
  for (size_t i = 0; i <= kIdleEnginesMax; ++i) {
    requests.push_back(Request(1));
    requests.back().options.rows_max = static_cast<int>(i) + 1;
  }
  std::vector<EngineCache::Lease> leases;
  for (const EngineRequest& request : requests) {
    leases.push_back(MustTake(request));
  }
  const Engine* const second = leases[1].engine();
  leases.clear();  // the first one is the least recently given back
  const std::weak_ptr<const Model> model = *store_.Get("tiny");
  EXPECT_EQ(model.use_count(), 1 + static_cast<int64_t>(kIdleEnginesMax));
  EXPECT_EQ(MustTake(requests[1]).engine(), second);
}

TEST_F(EngineCacheTest, ErrorsAreThoseOfStoreAndEngine) {
  EngineRequest request = Request(1);
  request.options.threads = -1;
  EXPECT_EQ(
      GetErrorDetail(EngineCache::Of(store_).Take(store_, request).status())
          ->reason,
      kReasonInvalidOptions);
  ASSERT_TRUE(store_.AddBytes("broken", "GGUX").ok());
  request = {.model_id = "broken"};
  EXPECT_EQ(
      GetErrorDetail(EngineCache::Of(store_).Take(store_, request).status())
          ->reason,
      kReasonMalformedFile);
}

TEST_F(EngineCacheTest, ManyThreadsTakeAndGiveBack) {
  std::vector<std::thread> threads;
  std::atomic<int> taken = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i, &taken] {
      for (int round = 0; round < 20; ++round) {
        const EngineCache::Lease lease = MustTake(Request(1 + 40 * i));
        if (lease.engine() != nullptr) ++taken;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 80);
}

}  // namespace
}  // namespace tandem
