#include "services/worker/server/tokenizer_stream.h"

#include <gtest/gtest.h>

#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

class TokenizerStreamTest : public WorkerFixture {
 protected:
  grpc::Status Get(const std::string& model_id) {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::GetTokenizerRequest request;
    request.set_model_id(model_id);
    const auto reader = stub_->GetTokenizer(&context, request);
    v1::GetTokenizerResponse response;
    received_.clear();
    chunks_ = 0;
    while (reader->Read(&response)) {
      EXPECT_LE(response.chunk().size(), kTokenizerChunkBytes);
      received_ += response.chunk();
      ++chunks_;
    }
    return reader->Finish();
  }

  std::string received_;
  int chunks_ = 0;
};

TEST_F(TokenizerStreamTest, ImageComesInPieces) {
  tokenizer_image_.clear();
  for (size_t i = 0; i < kTokenizerChunkBytes * 5 / 2; ++i) {
    tokenizer_image_.push_back(static_cast<char>(i * 31 % 251));
  }
  Start(v1::WORKER_ROLE_TARGET);
  EXPECT_TRUE(Get("").ok());
  EXPECT_EQ(chunks_, 3);
  EXPECT_TRUE(received_ == tokenizer_image_);
  EXPECT_TRUE(Get("fake-model").ok());
  EXPECT_EQ(Get("other").error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(TokenizerStreamTest, WholeChunksAndNone) {
  tokenizer_image_ = std::string(kTokenizerChunkBytes, 'x');
  Start(v1::WORKER_ROLE_TARGET);
  EXPECT_TRUE(Get("").ok());
  EXPECT_EQ(chunks_, 1);
}

TEST_F(TokenizerStreamTest, CancelInTheMiddle) {
  tokenizer_image_ = std::string(kTokenizerChunkBytes * 64, 'x');
  Start(v1::WORKER_ROLE_TARGET);
  grpc::ClientContext context;
  SetTestDeadline(&context);
  const auto reader = stub_->GetTokenizer(&context, v1::GetTokenizerRequest());
  v1::GetTokenizerResponse response;
  EXPECT_TRUE(reader->Read(&response));
  context.TryCancel();
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace tandem
