#include "engine/gguf/gguf_output.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace tandem {
namespace {

class GgufOutputTest : public ::testing::Test {
 protected:
  void TearDown() override { unlink(path_.c_str()); }

  static bool Exists(const std::string& path) {
    return access(path.c_str(), F_OK) == 0;
  }
  std::string Written() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  const std::string path_ = ::testing::TempDir() + "/gguf_output_test_" +
                            std::to_string(getpid()) + ".gguf";
};

// Pieces give the bytes that the writer gives of the whole.
TEST_F(GgufOutputTest, EqualsTheImage) {
  const std::vector<uint8_t> a = {1, 2, 3, 4, 5};
  const std::vector<uint8_t> b(64, 9);
  GgufWriter whole;
  GgufWriter declared;
  for (GgufWriter* writer : {&whole, &declared}) {
    writer->SetString("general.architecture", "llama");
  }
  whole.AddTensor("a", TensorType::kI8, {5}, a);
  whole.AddTensor("b", TensorType::kF32, {16}, b);
  declared.DeclareTensor("a", TensorType::kI8, {5});
  declared.DeclareTensor("b", TensorType::kF32, {16});
  auto output = GgufOutput::Create(path_, declared);
  ASSERT_TRUE(output.ok()) << output.status();
  ASSERT_TRUE((*output)->Append(absl::MakeConstSpan(a).subspan(0, 2)).ok());
  ASSERT_TRUE((*output)->Append(absl::MakeConstSpan(a).subspan(2)).ok());
  ASSERT_TRUE((*output)->EndTensor().ok());
  ASSERT_TRUE((*output)->Append(b).ok());
  ASSERT_TRUE((*output)->EndTensor().ok());
  EXPECT_FALSE(Exists(path_));
  ASSERT_TRUE((*output)->Finish().ok());
  EXPECT_EQ(Written(), whole.Serialize());
}

TEST_F(GgufOutputTest, LeavesNothingOfAnUnfinishedFile) {
  {
    const auto output = GgufOutput::Create(path_, GgufWriter());
    ASSERT_TRUE(output.ok()) << output.status();
  }
  EXPECT_FALSE(Exists(path_));
}

TEST_F(GgufOutputTest, NamesAPathThatCannotBeWritten) {
  const absl::Status status =
      GgufOutput::Create("/nonexistent/x.gguf", GgufWriter()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("/nonexistent/x.gguf: cannot be written: "
                                  "No such file"),
            absl::string_view::npos)
      << status;
}

}  // namespace
}  // namespace tandem
