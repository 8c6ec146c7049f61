#include "engine/gguf/gguf_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_writer.h"

namespace tandem {
namespace {

constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";

// A small good file with one entry of each kind that the writer sets.
std::string GoodFile() {
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetUint32("a.uint32", 7);
  writer.SetUint64("a.uint64", 1ull << 40);
  writer.SetInt32("a.int32", -3);
  writer.SetFloat32("a.float32", 0.5f);
  writer.SetBool("a.bool", true);
  writer.SetStringArray("a.strings", {"x", "", "yz"});
  writer.SetFloat32Array("a.floats", {1.0f, -2.0f});
  writer.SetInt32Array("a.ints", {1, 2, 3});
  const std::vector<uint8_t> data(64, 9);
  writer.AddTensor("first", TensorType::kF32, {4, 2},
                   absl::MakeConstSpan(data).first(32));
  writer.AddTensor("second", TensorType::kQ8_0, {32},
                   absl::MakeConstSpan(data).first(34));
  return writer.Serialize();
}

TEST(GgufFileTest, ReadsWhatTheWriterWrote) {
  const auto file = GgufFile::FromBytes(GoodFile(), "good");
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufFile& gguf = **file;
  EXPECT_EQ(gguf.version(), 3u);
  EXPECT_EQ(gguf.alignment(), 32u);
  EXPECT_EQ(gguf.name(), "good");
  EXPECT_EQ(*gguf.GetString("general.architecture"), "llama");
  EXPECT_EQ(*gguf.GetUint("a.uint32"), 7u);
  EXPECT_EQ(*gguf.GetUint("a.uint64"), 1ull << 40);
  EXPECT_EQ(*gguf.GetFloat("a.float32"), 0.5);
  EXPECT_EQ(*gguf.GetBool("a.bool"), true);
  const GgufArray* strings = *gguf.GetArray("a.strings");
  EXPECT_EQ(strings->size(), 3u);
  EXPECT_EQ(std::get<std::vector<absl::string_view>>(strings->values)[2], "yz");
  EXPECT_EQ(
      std::get<std::vector<double>>((*gguf.GetArray("a.floats"))->values)[1],
      -2.0);
  EXPECT_EQ(
      std::get<std::vector<int64_t>>((*gguf.GetArray("a.ints"))->values)[2], 3);
  ASSERT_EQ(gguf.tensors().size(), 2u);
  const GgufTensor* second = gguf.FindTensor("second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->bytes, 34u);
  EXPECT_EQ(second->offset % 32, 0u);
  EXPECT_EQ(gguf.TensorData(*second).size(), 34u);
  EXPECT_EQ(gguf.TensorData(*second)[33], 9);
  EXPECT_EQ(gguf.FindTensor("third"), nullptr);
  EXPECT_EQ(gguf.FindEntry("a.third"), nullptr);
}

TEST(GgufFileTest, MapsTheDemoModel) {
  const auto file = GgufFile::Open(kTargetModel);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().size(), 56u);
  EXPECT_EQ((*file)->entries().size(), 25u);
  EXPECT_EQ(*(*file)->GetUint("llama.block_count"), 6u);
}

}  // namespace
}  // namespace tandem
