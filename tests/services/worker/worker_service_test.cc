#include "services/worker/worker_service.h"

#include <gtest/gtest.h>

#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

class WorkerServiceTest : public WorkerFixture {
 protected:
  grpc::Status Describe(v1::DescribeResponse* response) {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    return stub_->Describe(&context, v1::DescribeRequest(), response);
  }
};

TEST_F(WorkerServiceTest, DescribesItsModel) {
  Start(v1::WORKER_ROLE_DRAFT);
  v1::DescribeResponse response;
  ASSERT_TRUE(Describe(&response).ok());
  EXPECT_EQ(response.version(), "0.1.0");
  EXPECT_EQ(response.role(), v1::WORKER_ROLE_DRAFT);
  ASSERT_EQ(response.models_size(), 1);
  EXPECT_EQ(response.models(0).model_id(), "fake-model");
  EXPECT_EQ(response.models(0).fingerprint(), "fake-fingerprint");
  EXPECT_EQ(response.models(0).vocabulary_fingerprint(), "fake-vocabulary");
  EXPECT_EQ(response.models(0).numerics(), "int8");
  EXPECT_EQ(response.models(0).context_max(), 1000);
  EXPECT_EQ(response.models(0).vocab_size(), kFakeVocabSize);
}

TEST_F(WorkerServiceTest, AnswersWhileTheModelLoads) {
  Listen();
  v1::DescribeResponse described;
  EXPECT_EQ(Describe(&described).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_FALSE(service_.IsStalled(absl::ZeroDuration()));
  {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    const auto reader =
        stub_->GetTokenizer(&context, v1::GetTokenizerRequest());
    v1::GetTokenizerResponse response;
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    const auto reader = stub_->Watch(&context, v1::WatchRequest());
    v1::WatchResponse response;
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  {
    DecodeCall call(stub_.get());
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  SetModel(v1::WORKER_ROLE_TARGET);
  EXPECT_TRUE(Describe(&described).ok());
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
  EXPECT_TRUE(call.Read().has_value());
}

}  // namespace
}  // namespace tandem
