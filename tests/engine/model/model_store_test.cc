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

// Notes the models that were removed.
class NotingCompanion : public ModelStoreCompanion {
 public:
  void OnRemoved(absl::string_view id) override {
    removed.push_back(std::string(id));
  }

  std::vector<std::string> removed;
};

TEST(ModelStoreTest, TheCompanionHearsOfRemovals) {
  ModelStore store;
  const auto make = +[]() -> std::unique_ptr<ModelStoreCompanion> {
    return std::make_unique<NotingCompanion>();
  };
  auto& companion = static_cast<NotingCompanion&>(store.Companion(make));
  EXPECT_EQ(&store.Companion(make), &companion);
  for (const char* id : {"a", "b"}) {
    ASSERT_TRUE(store.AddBytes(id, TinyImage()).ok());
    ASSERT_TRUE(store.Get(id).ok());
  }
  EXPECT_FALSE(store.Remove("c").ok());
  ASSERT_TRUE(store.Remove("b").ok());
  EXPECT_THAT(companion.removed, ElementsAre("b"));
}

}  // namespace
}  // namespace tandem
