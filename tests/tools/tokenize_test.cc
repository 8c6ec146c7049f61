#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";

TEST(TokenizeTest, ByTheService) {
  FakeService service;
  RunResult result =
      RunTandem({"tokenize", "ab", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "1 97 98\n");
  result = RunTandem({"tokenize", "--no-bos", "--json", "--model-id", "m",
                      "--coordinator", service.address()},
                     "c");
  EXPECT_EQ(result.out, "{\"token_ids\":[99]}\n");
  EXPECT_EQ(service.last_tokenize().model_id(), "m");
}

TEST(TokenizeTest, TheEmptyTextIsAnEmptyList) {
  FakeService service;
  for (const std::vector<std::string>& place :
       {std::vector<std::string>{"--coordinator", service.address()},
        std::vector<std::string>{"--model", kModel}}) {
    std::vector<std::string> arguments = {"tokenize", "", "--no-bos", "--json"};
    arguments.insert(arguments.end(), place.begin(), place.end());
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "{\"token_ids\":[]}\n");
  }
}

TEST(TokenizeTest, ByAFileWithAndWithoutBos) {
  const RunResult with = RunTandem({"tokenize", "Hello", "--model", kModel});
  const RunResult without =
      RunTandem({"tokenize", "Hello", "--no-bos", "--model", kModel});
  EXPECT_EQ(with.code, 0) << with.err;
  EXPECT_EQ(with.out, "1 " + without.out);
}

TEST(TokenizeTest, SpecialTokensWhereAskedFor) {
  const std::vector<std::string> plain = {"tokenize", "</s>", "--no-bos",
                                          "--model", kModel};
  std::vector<std::string> special = plain;
  special.push_back("--special");
  EXPECT_NE(RunTandem(plain).out, "2\n");
  EXPECT_EQ(RunTandem(special).out, "2\n");
  FakeService service;
  RunTandem({"tokenize", "a", "--special", "--coordinator", service.address()});
  EXPECT_TRUE(service.last_tokenize().parse_special());
}

TEST(TokenizeTest, BytesThatAreNotUtf8) {
  EXPECT_EQ(RunTandem({"tokenize", "--model", kModel}, "\xff").code, 0);
  const RunResult result =
      RunTandem({"tokenize", "--coordinator", "unix:/nonexistent"}, "\xff");
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("the text is not UTF-8 at byte 0"));
}

TEST(TokenizeTest, AMissingFile) {
  const RunResult result =
      RunTandem({"tokenize", "a", "--model", "/nonexistent.gguf"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent.gguf"));
}

TEST(DetokenizeTest, IdsAsArgumentsOrOnStandardInput) {
  FakeService service;
  RunResult result =
      RunTandem({"detokenize", "97", "98", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "ab\n");
  EXPECT_TRUE(service.last_detokenize().skip_special());
  result = RunTandem({"detokenize", "--keep-special", "--json", "--coordinator",
                      service.address()},
                     "[97, 98]\n99");
  EXPECT_EQ(result.out, "{\"text\":\"abc\"}\n");
  EXPECT_FALSE(service.last_detokenize().skip_special());
  EXPECT_THAT(service.last_detokenize().token_ids(), ElementsAre(97, 98, 99));
}

TEST(DetokenizeTest, WhatIsNoIdIsNamed) {
  for (const char* id : {"x", "1.5", "2147483648"}) {
    const RunResult result = RunTandem({"detokenize", "1", id});
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.err, HasSubstr(id));
  }
}

TEST(DetokenizeTest, ErrorsOfTheService) {
  FakeService service;
  service.error =
      absl::InvalidArgumentError("token 9999 is not in the vocabulary");
  const RunResult result =
      RunTandem({"detokenize", "9999", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("token 9999"));
}

}  // namespace
}  // namespace tandem::cli
