#include "services/worker/models/model_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/error_reason.h"
#include "tests/engine/base/wall_clock.h"
#include "tests/services/worker/compute_loop_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;

class ModelSetTest : public ::testing::Test {
 protected:
  WorkerModelParts Parts(const std::string& id) {
    auto engine = std::make_unique<GatedEngine>(FakeEngineOptions());
    engine_ = engine.get();
    WorkerModelParts parts;
    parts.info.model_id = id;
    parts.info.fingerprint = "print of " + id;
    parts.tokenizer_image = "image";
    parts.engine = std::move(engine);
    parts.info.weight_bytes = 100;
    parts.loop.processor = std::move(processor_);
    return parts;
  }
  absl::Status Add(const std::string& id) { return set_.Add(Parts(id)); }
  // A load that gets no further than its weights.
  absl::Status Reserve(const std::string& id, int64_t bytes) {
    const absl::Status begun = set_.BeginLoad(id);
    if (!begun.ok()) return begun;
    const absl::Status reserved = set_.ReserveWeights(bytes);
    EXPECT_FALSE(set_.EndLoad(absl::CancelledError()).ok());
    return reserved;
  }
  const ServedModel* MustUse(const std::string& id) {
    const absl::StatusOr<const ServedModel*> model = set_.Use(id);
    EXPECT_TRUE(model.ok()) << model.status();
    return *model;
  }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    for (const ServedModelState& state : set_.States()) {
      ids.push_back(state.info.model_id);
    }
    return ids;
  }
  static std::string Reason(const absl::Status& status) {
    const std::optional<ErrorDetail> detail = GetErrorDetail(status);
    return detail.has_value() ? detail->reason : "";
  }

  std::atomic<int> changes_{0};
  // Weights of two models and a half.
  ModelSet set_{[this] { ++changes_; }, {}, {.weight_bytes_max = 250}};
  GatedEngine* engine_ = nullptr;  // of the model that was added last
  std::unique_ptr<ProcessorLock> processor_;  // of the next one
};

TEST_F(ModelSetTest, ModelsAreFoundById) {
  EXPECT_EQ(set_.Use("").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Add("a").ok());
  EXPECT_EQ(changes_, 1);
  const uint64_t generation = set_.generation();
  const ServedModel* only = MustUse("");
  EXPECT_EQ(only->info.model_id, "a");
  set_.Release(only);
  ASSERT_TRUE(Add("b").ok());
  EXPECT_GT(set_.generation(), generation);
  EXPECT_EQ(Add("b").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Ids(), ElementsAre("a", "b"));
  EXPECT_EQ(set_.States()[1].info.fingerprint, "print of b");
  const ServedModel* b = MustUse("b");
  EXPECT_EQ(b->info.model_id, "b");
  EXPECT_EQ(set_.States()[1].users, 1);
  set_.Release(b);
  const absl::Status none = set_.Use("c").status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Reason(none), kReasonUnknownModel);
  const absl::Status unnamed = set_.Use("").status();
  EXPECT_EQ(unnamed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reason(unnamed), kReasonUnknownModel);
}

TEST_F(ModelSetTest, ReportsOfEachModelWhetherItSharesCores) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "set-lock-", getpid());
  processor_ = *ProcessorLock::Open(path, ProcessorLock::Role::kTarget);
  ASSERT_TRUE(Add("a").ok());
  ASSERT_TRUE(Add("b").ok());
  EXPECT_TRUE(set_.States()[0].info.takes_turns);
  EXPECT_FALSE(set_.States()[1].info.takes_turns);
}

TEST_F(ModelSetTest, AModelInUseStays) {
  ASSERT_TRUE(Add("a").ok());
  const ServedModel* model = MustUse("a");
  const absl::Status in_use = set_.Remove("a", absl::ZeroDuration());
  EXPECT_EQ(in_use.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(in_use), kReasonWrongState);
  EXPECT_EQ(Reserve("b", 200).code(), absl::StatusCode::kResourceExhausted);
  // It is served on.
  set_.Release(MustUse("a"));
  set_.Release(model);
  const uint64_t generation = set_.generation();
  EXPECT_TRUE(set_.Remove("a", absl::ZeroDuration()).ok());
  EXPECT_GT(set_.generation(), generation);
  EXPECT_EQ(set_.Remove("a", absl::ZeroDuration()).code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(set_.Use("a").ok());
}

TEST_F(ModelSetTest, AModelThatStaysAfterAllIsNews) {
  ASSERT_TRUE(Add("a").ok());
  const ServedModel* model = MustUse("a");
  const uint64_t generation = set_.generation();
  const int changes = changes_;
  EXPECT_FALSE(set_.Remove("a", absl::ZeroDuration()).ok());
  // It was missing from descriptions, and is there again.
  EXPECT_EQ(set_.generation(), generation + 2);
  EXPECT_EQ(changes_, changes + 2);
  EXPECT_FALSE(set_.States()[0].leaving);
  set_.Release(model);
}

TEST_F(ModelSetTest, NothingGoesForAModelThatCanNotFit) {
  ASSERT_TRUE(Add("idle").ok());
  ASSERT_TRUE(Add("used").ok());
  const ServedModel* model = MustUse("used");
  EXPECT_EQ(Reserve("b", 251).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reserve("b", 151).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Ids(), ElementsAre("idle", "used"));
  EXPECT_TRUE(Reserve("b", 150).ok());
  EXPECT_THAT(Ids(), ElementsAre("used"));
  set_.Release(model);
}

TEST_F(ModelSetTest, RemoveWaitsForUsersAndLetsNobodyNewIn) {
  ASSERT_TRUE(Add("a").ok());
  const ServedModel* model = MustUse("a");
  absl::Status removed = absl::UnknownError("not yet");
  std::thread remover(
      [&] { removed = set_.Remove("a", absl::InfiniteDuration()); });
  while (!set_.States()[0].leaving) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(Reason(set_.Use("a").status()), kReasonDraining);
  EXPECT_EQ(set_.Remove("a", absl::InfiniteDuration()).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reserve("b", 200).code(), absl::StatusCode::kResourceExhausted);
  set_.Release(model);
  remover.join();
  EXPECT_TRUE(removed.ok());
  EXPECT_TRUE(Ids().empty());
}

TEST_F(ModelSetTest, ADrainEndsWhateverTheWallClock) {
  ASSERT_TRUE(Add("a").ok());
  const ServedModel* model = MustUse("a");
  // For the kernel, which waits by its own clock, this is set back later.
  const SetWallClock ahead(absl::Hours(1));
  EXPECT_FALSE(set_.Remove("a", absl::Milliseconds(50)).ok());
  EXPECT_FALSE(set_.States()[0].leaving);
  set_.Release(model);
}

TEST_F(ModelSetTest, TheLeastRecentlyUsedGoesFirst) {
  for (const char* id : {"a", "b"}) ASSERT_TRUE(Add(id).ok());
  set_.Release(MustUse("a"));
  EXPECT_EQ(set_.weight_bytes(), 200);
  ASSERT_TRUE(set_.BeginLoad("c").ok());
  ASSERT_TRUE(set_.ReserveWeights(50).ok());
  EXPECT_THAT(Ids(), ElementsAre("a", "b")) << "there was room";
  EXPECT_EQ(set_.weight_bytes(), 250);
  ASSERT_TRUE(set_.ReserveWeights(100).ok());
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_EQ(set_.weight_bytes(), 200);
  ASSERT_TRUE(set_.EndLoad(Parts("c")).ok());
  EXPECT_THAT(Ids(), ElementsAre("a", "c"));
  EXPECT_EQ(set_.weight_bytes(), 200);
  const ServedModel* a = MustUse("a");
  const ServedModel* c = MustUse("c");
  const absl::Status full = Reserve("b", 100);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reason(full), kReasonExhausted);
  EXPECT_EQ(set_.weight_bytes(), 200) << "nothing is kept of a failed load";
  set_.Release(a);
  set_.Release(c);
  EXPECT_EQ(Reserve("b", 251).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ModelSetTest, OneLoadAtATimeAndOfNoModelThatIsThere) {
  for (const std::string& id : {std::string(), std::string(257, 'x')}) {
    EXPECT_EQ(set_.BeginLoad(id).code(), absl::StatusCode::kInvalidArgument);
  }
  ASSERT_TRUE(Add("a").ok());
  EXPECT_EQ(set_.BeginLoad("a").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(set_.is_loading());
  ASSERT_TRUE(set_.BeginLoad("b").ok());
  EXPECT_TRUE(set_.is_loading());
  EXPECT_EQ(Reason(set_.BeginLoad("c")), kReasonWrongState);
  EXPECT_EQ(set_.Use("b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(set_.EndLoad(absl::DataLossError("torn")),
            absl::DataLossError("torn"));
  EXPECT_FALSE(set_.is_loading());
  ASSERT_TRUE(set_.BeginLoad("b").ok());
  ASSERT_TRUE(set_.EndLoad(Parts("b")).ok());
  EXPECT_THAT(Ids(), ElementsAre("a", "b"));
}

TEST_F(ModelSetTest, TheDescriptionHasEveryField) {
  WorkerModelInfo info;
  info.model_id = "id";
  info.fingerprint = "print";
  info.vocabulary_fingerprint = "vocabulary";
  info.numerics = "int8";
  info.context_max = 100;
  info.vocab_size = 10;
  v1::WorkerModel model;
  FillProto(info, &model);
  EXPECT_EQ(model.model_id(), "id");
  EXPECT_EQ(model.fingerprint(), "print");
  EXPECT_EQ(model.vocabulary_fingerprint(), "vocabulary");
  EXPECT_EQ(model.numerics(), "int8");
  EXPECT_EQ(model.context_max(), 100);
  EXPECT_EQ(model.vocab_size(), 10);
}

// A stream of a model that is gone the moment after its last user.
TEST_F(ModelSetTest, TheLastReleaseMayComeFromTheLoop) {
  class ReleasingClient : public LoopClient {
   public:
    ReleasingClient(ModelSet* set, const ServedModel* model)
        : set_(set), model_(model) {}
    void OnClosed() override {
      LoopClient::OnClosed();
      set_->Release(model_);
    }

   private:
    ModelSet* const set_;
    const ServedModel* const model_;
  };
  for (int repeat = 0; repeat < 20; ++repeat) {
    ASSERT_TRUE(Add("a").ok());
    const ServedModel* model = MustUse("a");
    ReleasingClient client(&set_, model);
    const auto stream =
        model->loop->Open({.decoder = OpenOptions({1, 3, 4})}, &client);
    ASSERT_TRUE(stream.ok());
    model->loop->Close(*stream);
    EXPECT_TRUE(set_.Remove("a", absl::InfiniteDuration()).ok());
  }
}

TEST_F(ModelSetTest, LoopsComputeOneAfterTheOther) {
  ASSERT_TRUE(Add("a").ok());
  GatedEngine* const a_engine = engine_;
  ASSERT_TRUE(Add("b").ok());
  GatedEngine* const b_engine = engine_;
  const ServedModel* a = MustUse("a");
  const ServedModel* b = MustUse("b");
  LoopClient a_client, b_client;
  const StreamId a_stream =
      *a->loop->Open({.decoder = OpenOptions({4})}, &a_client);
  const StreamId b_stream =
      *b->loop->Open({.decoder = OpenOptions({4})}, &b_client);
  a_engine->ShutGate();
  ASSERT_TRUE(a->loop->Submit(a_stream, Verify(0, {4}, {})).ok());
  a_engine->WaitForStep();
  ASSERT_TRUE(b->loop->Submit(b_stream, Verify(0, {4}, {})).ok());
  // b waits for a, which is not held against it.
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_TRUE(b_engine->batches().empty());
  EXPECT_FALSE(b_client.HasResult());
  EXPECT_FALSE(b->loop->IsStalled(absl::ZeroDuration()));
  a_engine->OpenGate();
  EXPECT_TRUE(a_client.WaitResult().ok());
  EXPECT_TRUE(b_client.WaitResult().ok());
  a->loop->Close(a_stream);
  b->loop->Close(b_stream);
  a_client.WaitClosed();
  b_client.WaitClosed();
  set_.Release(a);
  set_.Release(b);
}

}  // namespace
}  // namespace tandem
