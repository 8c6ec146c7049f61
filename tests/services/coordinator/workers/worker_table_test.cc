#include "services/coordinator/workers/worker_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/fake_model.h"
#include "tests/services/coordinator/fake_workers.h"

namespace tandem {
namespace {

TEST(WorkerTableTest, CountsWorkersOfEachModel) {
  std::vector<WorkerInfo> workers = {FakeTarget("a"), FakeTarget("b"),
                                     FakeTarget("c"), FakeDrafter("d"),
                                     FakeDrafter("e")};
  workers[0].model_id = "z";
  workers[0].vocabulary_fingerprint = "other";
  workers[4].usable = false;
  const WorkerTable table(std::move(workers));
  const std::vector<ModelSummary>& models = table.models();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].model_id, "model");
  EXPECT_EQ(models[0].target_workers, 2);
  EXPECT_EQ(models[0].draft_workers, 1);
  EXPECT_EQ(models[1].model_id, "z");
  EXPECT_EQ(models[1].target_workers, 1);
  EXPECT_EQ(models[1].draft_workers, 0);
}

TEST(WorkerTableTest, KnowsWhatAPromptMayTakeAtMost) {
  std::vector<WorkerInfo> workers = {FakeTarget("a"), FakeTarget("b")};
  workers[1].context_max = 5000;
  const WorkerTable unknown(workers);
  EXPECT_EQ(unknown.models()[0].context_max, 100);
  EXPECT_EQ(unknown.models()[0].context_largest, 5000);
  EXPECT_EQ(unknown.models()[0].token_bytes_max, 0u);
  workers[0].tokenizer = FakeTokenizer();
  const WorkerTable table(workers);
  const size_t longest = table.models()[0].token_bytes_max;
  size_t found = 0;
  for (TokenId id = 0; id < FakeTokenizer()->vocab_size(); ++id) {
    const size_t bytes = FakeTokenizer()->TokenText(id, false).size();
    EXPECT_LE(bytes, longest);
    found += bytes == longest ? 1 : 0;
  }
  EXPECT_GT(found, 0u);
}

TEST(WorkerTableTest, ListsThoseThatTakeStreams) {
  std::vector<WorkerInfo> workers = {FakeTarget("a"), FakeTarget("b"),
                                     FakeTarget("c"), FakeDrafter("d")};
  workers[0].usable = false;
  workers[1].draining = true;
  const WorkerTable table(std::move(workers));
  ASSERT_EQ(table.TargetsOf("model").size(), 1u);
  EXPECT_EQ(table.TargetsOf("model")[0]->address, "c");
  EXPECT_TRUE(table.TargetsOf("small").empty());
  ASSERT_EQ(table.DraftersOf("vocabulary").size(), 1u);
  EXPECT_EQ(table.DraftersOf("vocabulary")[0]->address, "d");
  EXPECT_TRUE(table.DraftersOf("other").empty());
}

TEST(WorkerTableTest, ADrafterMayFitOtherVocabularies) {
  std::vector<WorkerInfo> workers = {FakeTarget("a"),    FakeTarget("b"),
                                     FakeTarget("gone"), FakeDrafter("d"),
                                     FakeDrafter("e"),   FakeDrafter("f")};
  workers[1].model_id = "second";
  workers[1].vocabulary_fingerprint = "larger";
  workers[2].model_id = "third";
  workers[2].vocabulary_fingerprint = "third";
  workers[2].usable = false;
  workers[4].vocabulary_fingerprint = "smaller";
  workers[5].vocabulary_fingerprint = "smaller";
  int asked = 0;
  const WorkerTable table(
      std::move(workers), {},
      [&asked](const WorkerInfo& draft, const WorkerInfo& target) {
        ++asked;
        return draft.vocabulary_fingerprint == "smaller" &&
               target.vocabulary_fingerprint != "vocabulary";
      });
  const auto drafters = [&table](const std::string& vocabulary) {
    std::vector<std::string> addresses;
    for (const WorkerInfo* worker : table.DraftersOf(vocabulary)) {
      addresses.push_back(worker->address);
    }
    return addresses;
  };
  EXPECT_THAT(drafters("vocabulary"), ::testing::ElementsAre("d"));
  EXPECT_THAT(drafters("larger"), ::testing::ElementsAre("e", "f"));
  // For turns that go on when its target comes back.
  EXPECT_THAT(drafters("third"), ::testing::ElementsAre("e", "f"));
  EXPECT_THAT(drafters("smaller"), ::testing::ElementsAre("e", "f"));
  // Each pair of vocabularies once, equal ones never.
  EXPECT_EQ(asked, 5);
  EXPECT_EQ(table.FindModel("model")->draft_workers, 1);
  EXPECT_EQ(table.FindModel("second")->draft_workers, 2);
}

TEST(WorkerTableTest, AWorkerMayHaveSeveralModels) {
  std::vector<WorkerInfo> workers = {FakeTarget("a"), FakeTarget("a")};
  workers[1].model_id = "second";
  const WorkerTable table(std::move(workers));
  EXPECT_EQ(table.models().size(), 2u);
  EXPECT_EQ(table.TargetsOf("model").size(), 1u);
  EXPECT_EQ(table.TargetsOf("second").size(), 1u);
}

TEST(WorkerTableTest, NamesWhatIsWrongWithAModel) {
  std::vector<WorkerInfo> workers;
  absl::Status status = WorkerTable(workers).FindModel("").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNoWorker);

  workers = {FakeTarget("a")};
  EXPECT_EQ(WorkerTable(workers).FindModel("")->model_id, "model");
  EXPECT_EQ(WorkerTable(workers).FindModel("model")->model_id, "model");
  status = WorkerTable(workers).FindModel("unknown").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnknownModel);

  workers.push_back(FakeTarget("b"));
  workers[1].model_id = "second";
  status = WorkerTable(workers).FindModel("").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "model_id");
  EXPECT_EQ(GetErrorDetail(status)->violations[0].description,
            "must name one of model, second");
  EXPECT_THAT(status.message(), ::testing::HasSubstr("model, second"));

  workers[1].usable = false;
  status = WorkerTable(workers).FindModel("second").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNoWorker);
  // Its workers have left the lists.
  status = WorkerTable(workers, {"third"}).FindModel("third").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tandem
