#include "engine/gguf/gguf_error.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

TEST(GgufErrorTest, QuotesWhatIsNotPrintable) {
  EXPECT_EQ(QuoteForError("llama.x"), "'llama.x'");
  EXPECT_EQ(QuoteForError(""), "''");
  EXPECT_EQ(QuoteForError(absl::string_view("a\0\n\xff", 4)),
            "'a\\x00\\n\\xff'");
}

TEST(GgufErrorTest, CutsLongTexts) {
  const std::string quoted = QuoteForError(std::string(1 << 20, 'x'));
  EXPECT_LT(quoted.size(), 100u);
  EXPECT_EQ(quoted.substr(quoted.size() - 4), "...'");
  EXPECT_EQ(QuoteForError(std::string(80, 'x')).size(), 82u);
}

TEST(GgufErrorTest, NamesFileOffsetAndSubject) {
  const absl::Status status = GgufError("m.gguf", 24, "key 'k'", "is wrong");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "m.gguf: offset 24: key 'k': is wrong");
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
}

}  // namespace
}  // namespace tandem
