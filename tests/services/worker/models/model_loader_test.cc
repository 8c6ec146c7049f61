#include "services/worker/models/model_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/error_reason.h"
#include "tests/engine/base/fake_system.h"
#include "tests/services/worker/compute_loop_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kDraftModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";
constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";

class ModelLoaderTest : public ::testing::Test {
 protected:
  ModelLoaderTest() { options_.engine.threads = 1; }

  // A machine with so much memory, of which a container may have some.
  void SetMemory(int64_t available, std::optional<int64_t> limit = {}) {
    system_.SetAvailable(available);
    if (limit.has_value()) system_.SetGroup2("/worker", *limit);
    bounds_.memory.root = system_.root();
    bounds_.memory.reservation_folder = system_.root() + "/reservations";
  }
  int64_t KvTokens(size_t model) {
    const KvUsage kv = set_->States()[model].load.kv;
    return kv.pages_total * kv.page_tokens;
  }

  // A worker without models.
  void Make() {
    set_ = std::make_unique<ModelSet>([this] { on_changed_(); },
                                      std::function<void(const StepReport&)>(),
                                      bounds_);
    loader_ = std::make_unique<ModelLoader>(options_, set_.get());
  }
  absl::Status Load(const std::string& id, const std::string& path) {
    return loader_->Load({.id = id, .path = path}, {});
  }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    for (const ServedModelState& state : set_->States()) {
      ids.push_back(state.info.model_id);
    }
    return ids;
  }

  const FakeSystem system_;
  ModelLoaderOptions options_;
  ModelBounds bounds_;
  std::function<void()> on_changed_ = [] {};
  std::unique_ptr<ModelSet> set_;
  std::unique_ptr<ModelLoader> loader_;
};

TEST_F(ModelLoaderTest, LoadsServesAndUnloads) {
  Make();
  double last = 0;
  ASSERT_TRUE(loader_
                  ->Load({.id = "", .path = kDraftModel},
                         [&last](double progress) {
                           EXPECT_GE(progress, last);
                           last = progress;
                         })
                  .ok());
  EXPECT_GT(last, 0.9);
  EXPECT_THAT(Ids(), ElementsAre("tales-draft-q8_0"));
  EXPECT_GT(set_->weight_bytes(), 0);
  EXPECT_EQ(set_->States()[0].info.weight_bytes, set_->weight_bytes());
  EXPECT_FALSE(set_->is_loading());
  EXPECT_EQ(Load("", kDraftModel).code(), absl::StatusCode::kAlreadyExists);
  // The same file under another name.
  EXPECT_TRUE(Load("twin", kDraftModel).ok());
  EXPECT_EQ(set_->States()[0].info.fingerprint,
            set_->States()[1].info.fingerprint);
  EXPECT_TRUE(set_->Remove("twin", absl::ZeroDuration()).ok());
  EXPECT_TRUE(set_->Remove("tales-draft-q8_0", absl::ZeroDuration()).ok());
  EXPECT_EQ(set_->weight_bytes(), 0);
  EXPECT_EQ(set_->Remove("twin", absl::ZeroDuration()).code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(Load("twin", kDraftModel).ok()) << "and again";
}

TEST_F(ModelLoaderTest, AFailedLoadLeavesNoTrace) {
  Make();
  EXPECT_FALSE(Load("a", "/no/such/model.gguf").ok());
  EXPECT_FALSE(Load("a", "/dev/null").ok());
  EXPECT_FALSE(Load(std::string(300, 'x'), kDraftModel).ok());
  const absl::Status digest = loader_->Load(
      {.id = "a", .path = kDraftModel, .sha256 = {std::string(64, '0')}}, {});
  EXPECT_EQ(GetErrorDetail(digest)->reason, kReasonDigestMismatch);
  EXPECT_TRUE(Ids().empty());
  EXPECT_EQ(set_->weight_bytes(), 0);
  EXPECT_TRUE(Load("a", kDraftModel).ok());
}

TEST_F(ModelLoaderTest, OneLoadAtATime) {
  Make();
  absl::Status second;
  ASSERT_TRUE(loader_
                  ->Load({.id = "a", .path = kDraftModel},
                         [&](double) {
                           EXPECT_TRUE(set_->is_loading());
                           second = Load("b", kDraftModel);
                         })
                  .ok());
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(second)->reason, kReasonWrongState);
}

// Who hears that a model is gone finds its id and its memory free.
TEST_F(ModelLoaderTest, AModelThatIsGoneCanBeLoadedAtOnce) {
  std::atomic<bool> is_removing = false;
  absl::Status again;
  on_changed_ = [&] {
    if (!is_removing || !Ids().empty()) return;
    is_removing = false;
    EXPECT_EQ(set_->weight_bytes(), 0);
    again = Load("a", kDraftModel);
  };
  Make();
  ASSERT_TRUE(Load("a", kDraftModel).ok());
  is_removing = true;
  ASSERT_TRUE(set_->Remove("a", absl::ZeroDuration()).ok());
  EXPECT_FALSE(is_removing);
  EXPECT_TRUE(again.ok()) << again;
  EXPECT_THAT(Ids(), ElementsAre("a"));
}

TEST_F(ModelLoaderTest, AnUnloadThatWaitsHoldsUpNoOtherModel) {
  Make();
  ASSERT_TRUE(Load("a", kDraftModel).ok());
  const ServedModel* const used = *set_->Use("a");
  absl::Status unloaded;
  std::thread unload([&] { unloaded = set_->Remove("a", absl::Seconds(60)); });
  while (!set_->States()[0].leaving) std::this_thread::yield();
  EXPECT_TRUE(Load("b", kDraftModel).ok());
  EXPECT_TRUE(set_->Remove("b", absl::ZeroDuration()).ok());
  for (const absl::Status& status :
       {Load("a", kDraftModel), set_->Remove("a", absl::ZeroDuration())}) {
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonWrongState) << status;
  }
  set_->Release(used);
  unload.join();
  EXPECT_TRUE(unloaded.ok()) << unloaded;
  EXPECT_TRUE(Load("a", kDraftModel).ok());
}

// Loads and unloads of one name from several threads: each is done or refused,
// and what is served at the end counts.
TEST_F(ModelLoaderTest, LoadsBesideUnloadsLeaveWhatIsServed) {
  Make();
  ASSERT_TRUE(Load("a", kDraftModel).ok());
  const int64_t bytes = set_->weight_bytes();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      for (int i = 0; i < 20; ++i) {
        if (thread % 2 == 0) {
          Load("a", kDraftModel).IgnoreError();
        } else {
          set_->Remove("a", absl::ZeroDuration()).IgnoreError();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const size_t served = Ids().size();
  EXPECT_EQ(set_->weight_bytes(), served * bytes);
  if (served == 0) {
    EXPECT_TRUE(Load("a", kDraftModel).ok());
  }
}

// Room for one model of two sizes: the idle one that was used longest ago
// gives way, one in use does not.
TEST_F(ModelLoaderTest, IdleModelsMakeRoom) {
  Make();
  ASSERT_TRUE(Load("draft", kDraftModel).ok());
  const int64_t draft_bytes = set_->weight_bytes();
  ASSERT_TRUE(set_->Remove("draft", absl::ZeroDuration()).ok());
  bounds_.weight_bytes_max = draft_bytes * 5 / 2;
  Make();
  ASSERT_TRUE(Load("a", kDraftModel).ok());
  ASSERT_TRUE(Load("b", kDraftModel).ok());
  set_->Release(*set_->Use("a"));
  ASSERT_TRUE(Load("c", kDraftModel).ok());
  EXPECT_THAT(Ids(), ElementsAre("a", "c"));
  EXPECT_LE(set_->weight_bytes(), bounds_.weight_bytes_max);
  const ServedModel* a = *set_->Use("a");
  const ServedModel* c = *set_->Use("c");
  const absl::Status full = Load("b", kDraftModel);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  EXPECT_THAT(Ids(), ElementsAre("a", "c"));
  set_->Release(a);
  EXPECT_TRUE(Load("b", kDraftModel).ok());
  EXPECT_THAT(Ids(), ElementsAre("c", "b"));
  set_->Release(c);
}

TEST_F(ModelLoaderTest, MoreThanTheBoundIsRefused) {
  bounds_.weight_bytes_max = 1000;
  Make();
  EXPECT_EQ(Load("a", kTargetModel).code(),
            absl::StatusCode::kResourceExhausted);
}

// The KV pool follows the memory, the context and with it the fingerprint do
// not: workers of 2 and of 24 GiB can take over each other's turns.
TEST_F(ModelLoaderTest, FingerprintsDoNotFollowTheMemory) {
  SetMemory(24 * kGiB);
  Make();
  ASSERT_TRUE(Load("a", kTargetModel).ok());
  const WorkerModelInfo large = set_->States()[0].info;
  const int64_t large_tokens = KvTokens(0);
  EXPECT_EQ(large_tokens, 4 * large.context_max);
  ASSERT_TRUE(set_->Remove("a", absl::ZeroDuration()).ok());
  SetMemory(24 * kGiB, 118 * kMiB);
  Make();
  ASSERT_TRUE(Load("a", kTargetModel).ok());
  const WorkerModelInfo small = set_->States()[0].info;
  EXPECT_LT(KvTokens(0), large_tokens);
  EXPECT_EQ(small.fingerprint, large.fingerprint);
  EXPECT_EQ(small.context_max, large.context_max);
  ASSERT_TRUE(set_->Remove("a", absl::ZeroDuration()).ok());
}

// Before anything of the weights is read.
TEST_F(ModelLoaderTest, WhatCanNotFitIsRefusedBeforeItIsRead) {
  SetMemory(24 * kGiB, 100 * kMiB);
  Make();
  const absl::Status status =
      loader_->Load({.id = "a", .path = kTargetModel},
                    [](double) { FAIL() << "weights are read"; });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("bytes of memory are needed (a: "));
  EXPECT_TRUE(Ids().empty());
  SetMemory(24 * kGiB, 24 * kGiB);
  Make();
  EXPECT_TRUE(Load("a", kTargetModel).ok());
}

TEST_F(ModelLoaderTest, ModelsPlannedTogetherGetTheirParts) {
  SetMemory(24 * kGiB, 140 * kMiB);
  Make();
  const ModelSpec one = {.id = "one", .path = kTargetModel};
  const ModelSpec two = {.id = "two", .path = kTargetModel};
  std::vector<ModelSpec> specs = {one, two};
  ASSERT_TRUE(loader_->Plan(&specs).ok());
  for (const ModelSpec& spec : specs) {
    ASSERT_TRUE(loader_->Load(spec, {}).ok());
  }
  EXPECT_EQ(KvTokens(0), KvTokens(1));
  // What is left does not do for a third, until one goes.
  EXPECT_EQ(Load("three", kTargetModel).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Ids(), ElementsAre("one", "two")) << "none was asked to go";
  ASSERT_TRUE(set_->Remove("one", absl::ZeroDuration()).ok());
  EXPECT_TRUE(Load("three", kTargetModel).ok());
}

TEST_F(ModelLoaderTest, TheFileOfTheLockIsNamedWhereItCanNotBeOpened) {
  options_.compute_turn = "/no/such/turn";
  Make();
  EXPECT_EQ(Load("a", kDraftModel).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Ids().empty());
}

}  // namespace
}  // namespace tandem
