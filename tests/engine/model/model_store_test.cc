#include "engine/model/model_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;

std::string TinyImage() { return TinyModel(TinyModelSpec()).Serialize(); }

// A path of this process alone: tests run beside each other.
std::string FilePath(const std::string& name) {
  return absl::StrCat(::testing::TempDir(), "model_store_", name, "_", getpid(),
                      ".gguf");
}

TEST(ModelStoreTest, LoadsFromBytesOnceAndShares) {
  ModelStore store;
  ASSERT_TRUE(store.AddBytes("tiny", TinyImage()).ok());
  const auto first = store.Get("tiny");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = store.Get("tiny");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->get(), second->get());
}

TEST(ModelStoreTest, LoadsFromAFile) {
  const std::string path = FilePath("file");
  std::ofstream(path, std::ios::binary) << TinyImage();
  ModelStore store;
  ASSERT_TRUE(store.AddFile("tiny", path).ok());
  const auto model = store.Get("tiny");
  std::remove(path.c_str());
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(store.AddBytes("bytes", TinyImage()).ok());
  EXPECT_EQ((*model)->fingerprint(), (*store.Get("bytes"))->fingerprint());
}

TEST(ModelStoreTest, ConcurrentGetsLoadOnce) {
  std::atomic<int> loads = 0;
  ModelStore store;
  ModelOptions options;
  options.threads = 1;
  options.progress = [&](double fraction) {
    if (fraction == 1.0) ++loads;
  };
  ASSERT_TRUE(store.AddBytes("tiny", TinyImage(), options).ok());
  std::vector<std::shared_ptr<const Model>> models(8);
  std::vector<std::thread> threads;
  for (auto& model : models) {
    threads.emplace_back([&store, &model] { model = *store.Get("tiny"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
  for (const auto& model : models) EXPECT_EQ(model, models[0]);
}

// The progress callback runs without a lock of the store.
TEST(ModelStoreTest, ACallbackMayUseTheStore) {
  ModelStore store;
  ModelOptions options;
  size_t ids = 0;
  options.progress = [&](double) { ids = store.Ids().size(); };
  ASSERT_TRUE(store.AddBytes("tiny", TinyImage(), options).ok());
  ASSERT_TRUE(store.Get("tiny").ok());
  EXPECT_EQ(ids, 1u);
}

TEST(ModelStoreTest, AFailureIsKeptUntilRemoved) {
  const std::string path = FilePath("late");
  std::remove(path.c_str());
  ModelStore store;
  ASSERT_TRUE(store.AddFile("late", path).ok());
  const absl::Status missing = store.Get("late").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound) << missing;
  std::ofstream(path, std::ios::binary) << TinyImage();
  EXPECT_EQ(store.Get("late").status(), missing);
  ASSERT_TRUE(store.Remove("late").ok());
  ASSERT_TRUE(store.AddFile("late", path).ok());
  EXPECT_TRUE(store.Get("late").ok());
  std::remove(path.c_str());
}

TEST(ModelStoreTest, MalformedBytesNameTheModel) {
  ModelStore store;
  ASSERT_TRUE(store.AddBytes("broken", "GGUX").ok());
  const absl::Status status = store.Get("broken").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("broken"));
}

TEST(ModelStoreTest, KnowsItsIds) {
  ModelStore store;
  EXPECT_EQ(store.Get("none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(store.Get("none").status())->reason,
            kReasonUnknownModel);
  EXPECT_EQ(store.Remove("none").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store.AddBytes("", "x").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store.AddBytes(std::string(257, 'x'), "x").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store.AddFile("a", "").code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(store.AddBytes("b", "x").ok());
  ASSERT_TRUE(store.AddBytes("a", "x").ok());
  EXPECT_EQ(store.AddFile("a", "path").code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(store.Ids(), ElementsAre("a", "b"));
}

TEST(ModelStoreTest, HoldersKeepARemovedModel) {
  ModelStore store;
  ASSERT_TRUE(store.AddBytes("tiny", TinyImage()).ok());
  const std::shared_ptr<const Model> held = *store.Get("tiny");
  ASSERT_TRUE(store.Remove("tiny").ok());
  EXPECT_EQ(held->config().layers, 2);
  EXPECT_EQ(store.Get("tiny").status().code(), absl::StatusCode::kNotFound);
}

// Three files of one model; what each takes, and a bound for two of them.
class BoundedStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = FilePath("bounded");
    std::ofstream(path_, std::ios::binary) << TinyImage();
    ModelStore store;
    ASSERT_TRUE(store.AddFile("one", path_).ok());
    ASSERT_TRUE(store.Get("one").ok());
    bytes_ = store.weight_bytes();
    ASSERT_GT(bytes_, 0);
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::unique_ptr<ModelStore> MakeStore(int64_t weight_bytes_max) const {
    auto store = std::make_unique<ModelStore>(
        ModelStoreOptions{.weight_bytes_max = weight_bytes_max});
    for (const char* id : {"a", "b", "c"}) {
      EXPECT_TRUE(store->AddFile(id, path_).ok());
    }
    return store;
  }

  std::string path_;
  int64_t bytes_ = 0;
};

TEST_F(BoundedStoreTest, TheLeastRecentlyGotIdleModelGoes) {
  const auto store = MakeStore(2 * bytes_);
  const std::weak_ptr<const Model> a = *store->Get("a");
  const std::weak_ptr<const Model> b = *store->Get("b");
  EXPECT_EQ(store->weight_bytes(), 2 * bytes_);
  ASSERT_TRUE(store->Get("a").ok());  // now b is the least recent
  const std::weak_ptr<const Model> c = *store->Get("c");
  EXPECT_FALSE(a.expired());
  EXPECT_TRUE(b.expired());
  EXPECT_FALSE(c.expired());
  EXPECT_EQ(store->weight_bytes(), 2 * bytes_);
  // It comes back, and a goes.
  ASSERT_TRUE(store->Get("b").ok());
  EXPECT_TRUE(a.expired());
  EXPECT_EQ(store->weight_bytes(), 2 * bytes_);
  EXPECT_THAT(store->Ids(), ElementsAre("a", "b", "c"));
}

TEST_F(BoundedStoreTest, ModelsInUseStay) {
  const auto store = MakeStore(2 * bytes_);
  std::shared_ptr<const Model> a = *store->Get("a");
  const std::weak_ptr<const Model> b = *store->Get("b");
  ASSERT_TRUE(store->Get("c").ok());
  EXPECT_TRUE(b.expired());
  std::shared_ptr<const Model> c = *store->Get("c");
  const absl::Status status = store->Get("b").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonExhausted);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("\"b\""));
  EXPECT_EQ(store->weight_bytes(), 2 * bytes_);
  // That was no failure of b.
  a.reset();
  EXPECT_TRUE(store->Get("b").ok());
}

TEST_F(BoundedStoreTest, AModelLargerThanTheBoundIsRefused) {
  const auto store = MakeStore(bytes_ - 1);
  EXPECT_EQ(store->Get("a").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(store->weight_bytes(), 0);
}

// A Q8_0 file takes four times its size in f32: that comes out when it is
// loaded.
TEST_F(BoundedStoreTest, WhatAModelTakesCountsNotItsFile) {
  TinyModelSpec spec;
  spec.type = TensorType::kQ8_0;
  std::ofstream(path_, std::ios::binary) << TinyModel(spec).Serialize();
  ModelStore store({.weight_bytes_max = bytes_ / 2});
  ASSERT_TRUE(
      store.AddFile("f32", path_, {.numerics = NumericsMode::kF32}).ok());
  ASSERT_TRUE(store.AddFile("int8", path_).ok());
  EXPECT_EQ(store.Get("f32").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(store.weight_bytes(), 0);
  EXPECT_TRUE(store.Get("int8").ok());
}

TEST_F(BoundedStoreTest, ModelsFromBytesDoNotGo) {
  const auto store = MakeStore(2 * bytes_);
  ASSERT_TRUE(store->AddBytes("bytes", TinyImage()).ok());
  const std::weak_ptr<const Model> bytes = *store->Get("bytes");
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(store->Get(id).ok());
  EXPECT_FALSE(bytes.expired());
  ASSERT_TRUE(store->Remove("bytes").ok());
  EXPECT_TRUE(bytes.expired());
  EXPECT_EQ(store->weight_bytes(), bytes_);
}

// Holds a model until it is asked to let go.
class HoldingCompanion : public ModelStoreCompanion {
 public:
  void ReleaseIdle() override {
    held.reset();
    ++releases;
  }
  void OnRemoved(absl::string_view id) override {
    held.reset();
    removed.push_back(std::string(id));
  }

  std::shared_ptr<const Model> held;
  int releases = 0;
  std::vector<std::string> removed;
};

TEST_F(BoundedStoreTest, TheCompanionLetsGoWhereRoomLacks) {
  const auto store = MakeStore(bytes_);
  const auto make = +[]() -> std::unique_ptr<ModelStoreCompanion> {
    return std::make_unique<HoldingCompanion>();
  };
  auto& companion = static_cast<HoldingCompanion&>(store->Companion(make));
  EXPECT_EQ(&store->Companion(make), &companion);
  companion.held = *store->Get("a");
  EXPECT_EQ(companion.releases, 0) << "there was room";
  ASSERT_TRUE(store->Get("a").ok());
  EXPECT_EQ(companion.releases, 0) << "nothing was loaded";
  companion.held = *store->Get("b");
  EXPECT_EQ(companion.releases, 1);
  const std::weak_ptr<const Model> b = companion.held;
  ASSERT_TRUE(store->Remove("b").ok());
  EXPECT_THAT(companion.removed, ElementsAre("b"));
  EXPECT_TRUE(b.expired());
}

TEST_F(BoundedStoreTest, ManyThreadsStayWithinTheBound) {
  const auto store = MakeStore(2 * bytes_);
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 10; ++i) {
        const char* ids[] = {"a", "b", "c"};
        const auto model = store->Get(ids[(i + thread) % 3]);
        if (model.ok()) {
          ++served;
          EXPECT_EQ((*model)->config().layers, 2);
        } else {
          EXPECT_EQ(model.status().code(),
                    absl::StatusCode::kResourceExhausted);
        }
        EXPECT_LE(store->weight_bytes(), 2 * bytes_);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(served, 0);
}

}  // namespace
}  // namespace tandem
