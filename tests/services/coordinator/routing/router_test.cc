#include "services/coordinator/routing/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/services/coordinator/fake_workers.h"

namespace tandem {
namespace {

class RouterTest : public ::testing::Test {
 protected:
  RouterTest()
      : router_([this] { return std::make_shared<WorkerTable>(workers_); },
                /*seed=*/1) {}

  std::string Target(const TargetQuery& query) {
    const std::optional<WorkerChoice> choice = router_.PickTarget(query);
    return choice.has_value() ? choice->name : "none";
  }
  std::string Drafter(const DrafterQuery& query) {
    const std::optional<WorkerChoice> choice = router_.PickDrafter(query);
    return choice.has_value() ? choice->name : "none";
  }
  FakeLoadLink& Link(size_t index) { return LinkOf(workers_[index]); }
  // Says that `worker` has computed the first `count` of tokens_.
  void Computed(const std::string& worker, size_t count,
                const std::string& fingerprint = "fp") {
    router_.OnComputed({.worker = worker,
                        .tenant = "tenant",
                        .fingerprint = fingerprint,
                        .tokens = absl::MakeConstSpan(tokens_).first(count)});
  }
  SequenceNeed Need() {
    return {.tenant = "tenant",
            .tokens = tokens_,
            .tokens_max = 600,
            .generated_max = 50};
  }

  std::vector<TokenId> tokens_ = std::vector<TokenId>(512, 5);
  std::vector<WorkerInfo> workers_;
  Router router_;
};

const TargetQuery kAny{.model_id = "model"};

TEST_F(RouterTest, TakesTheLeastLoaded) {
  workers_ = {FakeTarget("a", 3), FakeTarget("b", 1), FakeTarget("c", 2),
              FakeDrafter("d", 0)};
  EXPECT_EQ(Target(kAny), "b");
  Link(1).now.requests_pending = 5;
  EXPECT_EQ(Target(kAny), "c");
  Link(2).now.streams = 7;
  EXPECT_EQ(Target(kAny), "a");
}

TEST_F(RouterTest, TakesOnlyWhatFits) {
  workers_ = {FakeTarget("a", 0), FakeTarget("b", 9)};
  workers_[0].fingerprint = "other";
  workers_[0].vocabulary_fingerprint = "other";
  TargetQuery query = kAny;
  EXPECT_EQ(Target(query), "a");
  query.fingerprint = "fp";
  EXPECT_EQ(Target(query), "b");
  query.fingerprint = "";
  query.vocabulary_fingerprint = "vocabulary";
  EXPECT_EQ(Target(query), "b");
  query.model_id = "unknown";
  EXPECT_EQ(Target(query), "none");
  query = {.model_id = "model", .fingerprint = "third"};
  EXPECT_EQ(Target(query), "none");
}

TEST_F(RouterTest, LeavesOutGoneAndDrainingWorkers) {
  workers_ = {FakeTarget("a", 0), FakeTarget("b", 0), FakeTarget("c", 9)};
  workers_[0].usable = false;
  workers_[1].draining = true;
  EXPECT_EQ(Target(kAny), "c");
  workers_[2].draining = true;
  EXPECT_EQ(Target(kAny), "none");
  EXPECT_FALSE(router_.HasTarget());
}

TEST_F(RouterTest, AvoidsAWorkerWhileThereIsAnother) {
  workers_ = {FakeTarget("a", 0), FakeTarget("b", 9)};
  TargetQuery query = kAny;
  query.avoid = {"a"};
  EXPECT_EQ(Target(query), "b");
  workers_[1].usable = false;
  EXPECT_EQ(Target(query), "a");
}

TEST_F(RouterTest, SpreadsDraftersByLoad) {
  workers_ = {FakeTarget("t", 0), FakeDrafter("a", 2), FakeDrafter("b", 1),
              FakeDrafter("c", 0)};
  workers_[3].vocabulary_fingerprint = "other";
  DrafterQuery query{.vocabulary_fingerprint = "vocabulary"};
  EXPECT_EQ(Drafter(query), "b");
  workers_[2].vocab_size = 9;
  query.vocab_size_min = 10;
  EXPECT_EQ(Drafter(query), "a");
  query.vocab_size_min = 9;
  EXPECT_EQ(Drafter(query), "b");
  workers_[2].context_max = 50;
  query.context_min = 50;
  EXPECT_EQ(Drafter(query), "a");
  query.context_min = 100;
  EXPECT_EQ(Drafter(query), "none");
}

TEST_F(RouterTest, GoesWhereThePrefixWasComputed) {
  workers_ = {FakeTarget("a", 0), FakeTarget("b", 1), FakeDrafter("c", 0),
              FakeDrafter("d", 1)};
  TargetQuery query{.model_id = "model", .need = Need()};
  DrafterQuery draft{.vocabulary_fingerprint = "vocabulary", .need = Need()};
  EXPECT_EQ(Target(query), "a");
  Computed("b", 500);
  EXPECT_EQ(Target(query), "b");
  EXPECT_EQ(Drafter(draft), "c");
  Computed("d", 500, "small-fp");
  EXPECT_EQ(Drafter(draft), "d");
  query.need.tenant = "another";
  EXPECT_EQ(Target(query), "a");
  query.need.tenant = "tenant";
  Link(1).now.streams = 1000;  // that would take longer than the prompt
  EXPECT_EQ(Target(query), "a");
}

TEST_F(RouterTest, GoesWhereTheSessionWas) {
  workers_ = {FakeTarget("a", 0), FakeTarget("b", 1)};
  TargetQuery query{.model_id = "model", .need = Need()};
  query.need.last_worker = {.name = "b", .tokens = 400};
  EXPECT_EQ(Target(query), "b");
  query.need.last_worker.name = "gone";
  EXPECT_EQ(Target(query), "a");
}

TEST_F(RouterTest, SaysWhatNeedNotBeComputed) {
  workers_ = {FakeDrafter("d", 0)};
  DrafterQuery query{.vocabulary_fingerprint = "vocabulary", .need = Need()};
  EXPECT_EQ(router_.PickDrafter(query)->cached, 0);
  query.need.last_worker = {.name = "d", .tokens = 400};
  EXPECT_EQ(router_.PickDrafter(query)->cached, 400);
  // The last token is computed in any case.
  query.need.last_worker.tokens = 512;
  EXPECT_EQ(router_.PickDrafter(query)->cached, 511);
}

TEST_F(RouterTest, SaysWhatItsMapTakes) {
  workers_ = {FakeTarget("a", 0)};
  EXPECT_EQ(router_.prefix_bytes(), 0);
  Computed("a", 2 * kPrefixBlockTokens);
  EXPECT_EQ(router_.prefix_bytes(), 2 * PrefixMap::kBlockBytes);
}

TEST_F(RouterTest, TakesAFullWorkerOnlyWhereNoneHasRoom) {
  workers_ = {FakeTarget("a", 0), FakeTarget("b", 50)};
  for (size_t i = 0; i < 2; ++i) {
    Link(i).now.kv_pages_total = 100;
    Link(i).now.kv_page_tokens = 16;
  }
  Link(1).now.kv_pages_free = 38;  // 608 tokens
  const TargetQuery query{.model_id = "model", .need = Need()};
  EXPECT_EQ(Target(query), "b");
  Link(1).now.kv_pages_free = 37;
  EXPECT_EQ(Target(query), "a");
}

TEST_F(RouterTest, LooksAtFewOfManyAndAtAllWhereThoseAreFull) {
  for (int i = 0; i < 1000; ++i) {
    workers_.push_back(FakeTarget(absl::StrCat("w", i), 1));
  }
  const auto looks = [this] {
    int sum = 0;
    for (const WorkerInfo& worker : workers_) {
      sum += std::exchange(LinkOf(worker).looks, 0);
    }
    return sum;
  };
  TargetQuery query{.model_id = "model", .need = Need()};
  std::set<std::string> picked;
  for (int i = 0; i < 50; ++i) picked.insert(Target(query));
  EXPECT_LE(looks(), 50 * static_cast<int>(Router::kDrawn));
  EXPECT_GT(picked.size(), 30u);  // all equal: drawn
  // One that has the prefix is always among them.
  Computed("w777", 500);
  EXPECT_EQ(Target(query), "w777");
  for (size_t i = 0; i < workers_.size(); ++i) {
    Link(i).now.kv_pages_total = 100;
    Link(i).now.kv_page_tokens = 16;
    Link(i).now.kv_pages_free = i == 333 ? 100 : 0;
  }
  EXPECT_EQ(Target(query), "w333");
  query.avoid = {"w333"};
  EXPECT_NE(Target(query), "none");
}

// Several coordinators see the same loads, which do not change meanwhile.
TEST_F(RouterTest, CoordinatorsDoNotAllGoToOneWorker) {
  for (int i = 0; i < 100; ++i) {
    workers_.push_back(FakeTarget(absl::StrCat("w", i), i % 10));
  }
  std::map<std::string, int> picked;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    Router router([this] { return std::make_shared<WorkerTable>(workers_); },
                  seed);
    ++picked[router.PickTarget(kAny)->name];
  }
  // One in ten has no load; half of them are hit at least.
  EXPECT_GE(picked.size(), 5u);
  for (const auto& [name, times] : picked) EXPECT_LT(times, 20) << name;
}

TEST_F(RouterTest, LooksAtTheWorkersOfNow) {
  EXPECT_FALSE(router_.HasTarget());
  EXPECT_EQ(Target(kAny), "none");
  workers_ = {FakeTarget("a", 0), FakeDrafter("d", 0)};
  EXPECT_TRUE(router_.HasTarget());
  EXPECT_EQ(Target(kAny), "a");
  EXPECT_EQ(Drafter({.vocabulary_fingerprint = "vocabulary"}), "d");
  EXPECT_EQ(router_.Models().size(), 1u);
  EXPECT_TRUE(router_.FindModel("model").ok());
}

}  // namespace
}  // namespace tandem
