#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
