#include "services/common/trace_context.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// The example of the W3C recommendation.
constexpr char kTraceparent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContextTest, TakesTheExampleOfTheRecommendation) {
  const auto context = ParseTraceContext(kTraceparent, "congo=t61rcWkgMzE");
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->parent, kTraceparent);
  EXPECT_EQ(context->state, "congo=t61rcWkgMzE");
  EXPECT_TRUE(context->sampled);
}

TEST(TraceContextTest, KnowsWhatIsNotSampled) {
  for (const char* flags : {"00", "02", "fe", "0a"}) {
    const auto context = ParseTraceContext(
        absl::StrCat(std::string(kTraceparent, 53), flags), "");
    ASSERT_TRUE(context.has_value()) << flags;
    EXPECT_FALSE(context->sampled) << flags;
  }
}

TEST(TraceContextTest, RefusesWhatIsMalformed) {
  const std::string good = kTraceparent;
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(ParseTraceContext(good.substr(0, length), "").has_value())
        << length;
  }
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = 'G';
    EXPECT_FALSE(ParseTraceContext(bad, "").has_value()) << bad;
  }
  for (const char* bad :
       {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"}) {
    EXPECT_FALSE(ParseTraceContext(bad, "").has_value()) << bad;
  }
}

// A later version's fields are passed on too, and gRPC aborts on such bytes.
TEST(TraceContextTest, RefusesBytesThatAreNotPrintable) {
  const std::string later = "01" + std::string(kTraceparent).substr(2) + "-";
  EXPECT_TRUE(ParseTraceContext(later + "what", "").has_value());
  EXPECT_FALSE(ParseTraceContext(later + "\x01", "").has_value());
  EXPECT_FALSE(ParseTraceContext(later + "\xc3\xa9", "").has_value());
}

TEST(TraceContextTest, TakesLaterVersions) {
  const std::string later =
      absl::StrCat("01", std::string(kTraceparent).substr(2));
  EXPECT_TRUE(ParseTraceContext(later, "").has_value());
  EXPECT_EQ(ParseTraceContext(later + "-more", "")->parent, later + "-more");
  EXPECT_FALSE(ParseTraceContext(
                   later + "-" + std::string(kTraceparentBytesMax, 'a'), "")
                   .has_value());
  EXPECT_FALSE(ParseTraceContext(later + "more", "").has_value());
}

TEST(TraceContextTest, LeavesATracestateThatIsTooLong) {
  const auto context = ParseTraceContext(
      kTraceparent, std::string(kTracestateBytesMax + 1, 'a'));
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->state, "");
  EXPECT_EQ(ParseTraceContext(kTraceparent, "a=\x01")->state, "");
}

TEST(TraceContextTest, ReadsMetadata) {
  EXPECT_FALSE(TraceContextOf({}).has_value());
  const auto context = TraceContextOf(
      {{kTraceparentKey, kTraceparent}, {kTracestateKey, "a=b"}});
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->parent, kTraceparent);
  EXPECT_EQ(context->state, "a=b");
}

}  // namespace
}  // namespace tandem
