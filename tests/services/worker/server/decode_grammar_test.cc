// Decode streams whose turns have a grammar.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/tokenizer/response_grammar.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "tests/services/worker/decoder_alone.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

using DecodeGrammarTest = WorkerFixture;

// Requests that follow the open wait until the grammar is compiled.
TEST_F(DecodeGrammarTest, AGrammarIsAppliedByBothRoles) {
  const std::vector<TokenId> prompt = {1, 3, 4, 5};
  SequenceDecoderOptions options = OpenRequestOptions(prompt);
  options.options.response_format = {.kind = GrammarSource::Kind::kRegex,
                                     .text = "[abc]{6}e"};
  v1::DecodeRequest open = OpenRequest(prompt);
  *open.mutable_open()->mutable_options() = ToProto(options.options);
  auto engine = std::make_unique<FakeEngine>();
  options.grammar =
      *CompileResponseFormat(engine->tokenizer(), options.options);
  DecoderAlone alone(std::move(engine), options);
  Start(v1::WORKER_ROLE_DRAFT);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(open));
  ASSERT_TRUE(call.Write(ProposeRequest(3, {5}, 16)));
  ASSERT_TRUE(call.Read().has_value());
  const auto drafted = call.Read();
  ASSERT_TRUE(drafted.has_value());
  const std::vector<TokenId> ids = Ids(drafted->decoded());
  EXPECT_EQ(ids, Ids(alone.Propose(3, {5}, 16)));
  const std::string text = engine_->tokenizer().Decode(ids, true);
  EXPECT_EQ(text.size(), 7u) << text;
  EXPECT_EQ(text.find_first_not_of("abc"), 6u) << text;
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(DecodeGrammarTest, AGrammarThatIsNoneEndsTheStream) {
  Start(v1::WORKER_ROLE_TARGET);
  v1::DecodeRequest open = OpenRequest({1, 3});
  open.mutable_open()->mutable_options()->mutable_response_format()->set_regex(
      "(a");
  {
    DecodeCall call(stub_.get());
    ASSERT_TRUE(call.Write(open));
    call.Write(VerifyRequest(1, {3}, {}));
    ExpectEnd(&call, grpc::StatusCode::INVALID_ARGUMENT, kReasonInvalidOptions);
  }
  // Who goes meanwhile leaves nothing behind.
  open.mutable_open()->mutable_options()->mutable_response_format()->set_regex(
      "(a|b){1,1000}c");
  for (int i = 0; i < 20; ++i) {
    DecodeCall call(stub_.get());
    ASSERT_TRUE(call.Write(open));
    call.Cancel();
  }
  WaitForLoad(
      [](const auto& load) { return load.models(0).streams_open() == 0; });
  EXPECT_EQ(engine_->open_sequences(), 0);
}

}  // namespace
}  // namespace tandem
