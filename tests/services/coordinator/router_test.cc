#include "services/coordinator/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

WorkerInfo Target(const std::string& address, int streams) {
  WorkerInfo worker;
  worker.address = address;
  worker.role = WorkerRole::kTarget;
  worker.usable = true;
  worker.model_id = "model";
  worker.fingerprint = "fp";
  worker.vocabulary_fingerprint = "vocabulary";
  worker.context_max = 100;
  worker.vocab_size = 10;
  worker.streams_open = streams;
  return worker;
}

WorkerInfo Draft(const std::string& address, int streams) {
  WorkerInfo worker = Target(address, streams);
  worker.role = WorkerRole::kDraft;
  worker.model_id = "small";
  return worker;
}

TargetQuery AnyTarget() {
  return {.model_id = "model",
          .fingerprint = "",
          .vocabulary_fingerprint = "",
          .avoid = {}};
}

TEST(ChooseTargetTest, TakesTheLeastLoaded) {
  std::vector<WorkerInfo> workers = {Target("a", 3), Target("b", 1),
                                     Target("c", 1), Draft("d", 0)};
  EXPECT_EQ(ChooseTarget(workers, AnyTarget())->name, "b");
  workers[1].requests_pending = 5;
  EXPECT_EQ(ChooseTarget(workers, AnyTarget())->name, "c");
  workers[2].own_streams = 7;  // newer than what the worker told
  EXPECT_EQ(ChooseTarget(workers, AnyTarget())->name, "a");
}

TEST(ChooseTargetTest, TakesOnlyWhatFits) {
  std::vector<WorkerInfo> workers = {Target("a", 0), Target("b", 9)};
  workers[0].fingerprint = "other";
  workers[0].vocabulary_fingerprint = "other";
  TargetQuery query = AnyTarget();
  EXPECT_EQ(ChooseTarget(workers, query)->name, "a");
  query.fingerprint = "fp";
  EXPECT_EQ(ChooseTarget(workers, query)->name, "b");
  query.fingerprint = "";
  query.vocabulary_fingerprint = "vocabulary";
  EXPECT_EQ(ChooseTarget(workers, query)->name, "b");
  query.model_id = "unknown";
  EXPECT_FALSE(ChooseTarget(workers, query).has_value());
}

TEST(ChooseTargetTest, LeavesOutGoneAndDrainingWorkers) {
  std::vector<WorkerInfo> workers = {Target("a", 0), Target("b", 0),
                                     Target("c", 9)};
  workers[0].usable = false;
  workers[1].draining = true;
  EXPECT_EQ(ChooseTarget(workers, AnyTarget())->name, "c");
}

TEST(ChooseTargetTest, AvoidsAWorkerWhileThereIsAnother) {
  std::vector<WorkerInfo> workers = {Target("a", 0), Target("b", 9)};
  TargetQuery query = AnyTarget();
  query.avoid = {"a"};
  EXPECT_EQ(ChooseTarget(workers, query)->name, "b");
  workers[1].usable = false;
  EXPECT_EQ(ChooseTarget(workers, query)->name, "a");
}

TEST(ChooseDrafterTest, TakesTheLeastLoadedOfTheVocabulary) {
  std::vector<WorkerInfo> workers = {Target("t", 0), Draft("a", 2),
                                     Draft("b", 1), Draft("c", 0)};
  workers[3].vocabulary_fingerprint = "other";
  DrafterQuery query{.vocabulary_fingerprint = "vocabulary", .context_min = 0};
  EXPECT_EQ(ChooseDrafter(workers, query)->name, "b");
  workers[2].context_max = 50;
  query.context_min = 50;
  EXPECT_EQ(ChooseDrafter(workers, query)->name, "a");
  query.context_min = 100;
  EXPECT_FALSE(ChooseDrafter(workers, query).has_value());
}

TEST(SummarizeModelsTest, CountsWorkersOfEachModel) {
  std::vector<WorkerInfo> workers = {Target("a", 0), Target("b", 0),
                                     Target("c", 0), Draft("d", 0),
                                     Draft("e", 0)};
  workers[0].model_id = "z";
  workers[0].vocabulary_fingerprint = "other";
  workers[4].usable = false;
  const std::vector<ModelSummary> models = SummarizeModels(workers);
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].model_id, "model");
  EXPECT_EQ(models[0].target_workers, 2);
  EXPECT_EQ(models[0].draft_workers, 1);
  EXPECT_EQ(models[1].model_id, "z");
  EXPECT_EQ(models[1].target_workers, 1);
  EXPECT_EQ(models[1].draft_workers, 0);
}

TEST(ResolveModelTest, NamesWhatIsWrong) {
  std::vector<WorkerInfo> workers;
  absl::Status status = ResolveModel(workers, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNoWorker);

  workers = {Target("a", 0)};
  EXPECT_EQ(ResolveModel(workers, "")->model_id, "model");
  EXPECT_EQ(ResolveModel(workers, "model")->model_id, "model");
  status = ResolveModel(workers, "unknown").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnknownModel);

  workers.push_back(Target("b", 0));
  workers[1].model_id = "second";
  status = ResolveModel(workers, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "model_id");
  EXPECT_THAT(status.message(), ::testing::HasSubstr("model, second"));

  workers[1].usable = false;
  status = ResolveModel(workers, "second").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNoWorker);
}

TEST(RouterTest, LooksAtTheWorkersOfNow) {
  std::vector<WorkerInfo> workers;
  Router router([&workers] { return workers; });
  EXPECT_FALSE(router.HasTarget());
  EXPECT_FALSE(router.PickTarget(AnyTarget()).has_value());
  workers = {Target("a", 0), Draft("d", 0)};
  EXPECT_TRUE(router.HasTarget());
  EXPECT_EQ(router.PickTarget(AnyTarget())->name, "a");
  EXPECT_EQ(router
                .PickDrafter(
                    {.vocabulary_fingerprint = "vocabulary", .context_min = 0})
                ->name,
            "d");
  EXPECT_EQ(router.Models().size(), 1u);
  EXPECT_TRUE(router.FindModel("model").ok());
}

}  // namespace
}  // namespace tandem
