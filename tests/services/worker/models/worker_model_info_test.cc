#include "services/worker/models/worker_model_info.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(WorkerModelInfoTest, FillsEveryField) {
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

}  // namespace
}  // namespace tandem
