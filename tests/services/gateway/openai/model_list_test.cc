#include "services/gateway/openai/model_list.h"

#include <gtest/gtest.h>

namespace tandem::gateway {
namespace {

TEST(ModelListTest, IsOpenAisList) {
  v1::ListModelsResponse models;
  v1::ModelInfo* model = models.add_models();
  model->set_model_id("tales");
  model->set_context_max(1024);
  const OrderedJson json = ModelList(models, 7);
  EXPECT_EQ(json["object"], "list");
  ASSERT_EQ(json["data"].size(), 1u);
  EXPECT_EQ(json["data"][0]["id"], "tales");
  EXPECT_EQ(json["data"][0]["object"], "model");
  EXPECT_EQ(json["data"][0]["created"], 7);
  EXPECT_EQ(json["data"][0]["max_model_len"], 1024);
  EXPECT_EQ(json["data"][0]["tandem"]["context_max"], 1024);
  EXPECT_EQ(ModelList({}, 7)["data"], OrderedJson::array());
}

}  // namespace
}  // namespace tandem::gateway
