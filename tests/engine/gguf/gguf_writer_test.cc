#include "engine/gguf/gguf_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/gguf/raw_gguf.h"

namespace tandem {
namespace {

constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";

TEST(GgufWriterTest, CopiesEntriesOfEveryTypeAsTheyAre) {
  const std::string original = FileOfAllTypes();
  const auto file = GgufFile::FromBytes(original, "all");
  ASSERT_TRUE(file.ok()) << file.status();
  GgufWriter writer;
  for (const GgufEntry& entry : (*file)->entries()) writer.CopyEntry(entry);
  const std::string image = writer.Serialize();
  EXPECT_EQ(image.size() % 32, 0u);
  EXPECT_EQ(image.substr(0, original.size()), original);
}

TEST(GgufWriterTest, PlacesTensorsAtTheAlignment) {
  for (const uint32_t alignment : {8u, 32u, 256u}) {
    GgufWriter writer;
    writer.SetUint32("general.alignment", alignment);
    const std::vector<uint8_t> data = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    writer.AddTensor("a", TensorType::kF32, {3}, data);
    writer.AddTensor("b", TensorType::kI8, {3, 2, 1, 2}, data);
    const auto file = GgufFile::FromBytes(writer.Serialize(), "aligned");
    ASSERT_TRUE(file.ok()) << file.status();
    for (const GgufTensor& tensor : (*file)->tensors()) {
      EXPECT_EQ(tensor.offset % alignment, 0u);
      EXPECT_EQ(*(*file)->ReadTensor(tensor), data);
    }
    EXPECT_EQ((*file)->tensors()[1].dims, (std::vector<uint64_t>{3, 2, 1, 2}));
  }
}

TEST(GgufWriterTest, CopiesTheAlignmentToo) {
  GgufWriter first;
  first.SetUint32("general.alignment", 64);
  const auto file = GgufFile::FromBytes(first.Serialize(), "first");
  ASSERT_TRUE(file.ok()) << file.status();
  GgufWriter second;
  second.CopyEntry((*file)->entries()[0]);
  const std::vector<uint8_t> data(4, 1);
  second.AddTensor("a", TensorType::kF32, {1}, data);
  second.AddTensor("b", TensorType::kF32, {1}, data);
  const auto copy = GgufFile::FromBytes(second.Serialize(), "second");
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ((*copy)->alignment(), 64u);
}

TEST(GgufWriterDeathTest, StopsOnDataOfTheWrongSize) {
  GgufWriter writer;
  const std::vector<uint8_t> data(33);
  EXPECT_DEATH(writer.AddTensor("t", TensorType::kQ8_0, {32}, data), "");
  EXPECT_DEATH(writer.AddTensor("t", TensorType::kQ8_0, {31}, data), "");
}

TEST(GgufWriterTest, TokenizerImageHoldsTheTokenizerAlone) {
  const auto model = GgufFile::Open(kTargetModel);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto image =
      GgufFile::FromBytes(TokenizerImage(**model), "tokenizer image");
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_TRUE((*image)->tensors().empty());
  EXPECT_EQ(*(*image)->GetString("general.architecture"), "llama");
  EXPECT_EQ(*(*image)->GetString("general.name"), "tales target");
  EXPECT_EQ((*image)->FindEntry("llama.block_count"), nullptr);
  int entries = 2;
  for (const GgufEntry& entry : (*model)->entries()) {
    if (entry.key.rfind("tokenizer.", 0) != 0) continue;
    ++entries;
    const GgufEntry* copy = (*image)->FindEntry(entry.key);
    ASSERT_NE(copy, nullptr) << entry.key;
    EXPECT_EQ(copy->type, entry.type);
  }
  EXPECT_EQ((*image)->entries().size(), static_cast<size_t>(entries));
  const auto* tokens = *(*model)->GetArray("tokenizer.ggml.tokens");
  const auto* copied = *(*image)->GetArray("tokenizer.ggml.tokens");
  EXPECT_EQ(std::get<std::vector<absl::string_view>>(tokens->values),
            std::get<std::vector<absl::string_view>>(copied->values));
}

}  // namespace
}  // namespace tandem
