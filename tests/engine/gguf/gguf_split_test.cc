#include "engine/gguf/gguf_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_writer.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

// A model in three files of one or two tensors each, open to change.
class GgufSplitTest : public ::testing::Test {
 protected:
  struct File {
    uint32_t number = 0;
    uint32_t count = 3;
    int32_t tensors_count = 4;
    std::vector<std::string> tensors = {};
    std::vector<std::string> keys = {};  // more of them
  };

  void SetUp() override {
    folder_ = absl::StrCat(::testing::TempDir(), "/gguf_split_", getpid());
    std::filesystem::create_directories(folder_);
    files_ = {{.number = 0, .tensors = {"a"}, .keys = {"llama.first"}},
              {.number = 1, .tensors = {"b", "c"}, .keys = {"general.x"}},
              {.number = 2, .tensors = {"d"}, .keys = {}}};
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(int number, int count = 3) const {
    return GgufShardName{.stem = folder_ + "/model",
                         .number = static_cast<uint64_t>(number),
                         .count = static_cast<uint64_t>(count)}
        .Path();
  }

  static std::string Image(const File& file) {
    GgufWriter writer;
    writer.SetUint32("split.no", file.number);
    writer.SetUint32("split.count", file.count);
    writer.SetInt32("split.tensors.count", file.tensors_count);
    for (const std::string& key : file.keys) writer.SetUint32(key, 7);
    for (const std::string& name : file.tensors) {
      const std::vector<uint8_t> data(32, static_cast<uint8_t>(name[0]));
      writer.AddTensor(name, TensorType::kF32, std::vector<uint64_t>{8}, data);
    }
    return writer.Serialize();
  }

  void Write(const std::string& path, const File& file) const {
    std::ofstream(path, std::ios::binary) << Image(file);
  }

  absl::StatusOr<std::unique_ptr<GgufFile>> Open() const {
    for (size_t i = 0; i < files_.size(); ++i) {
      Write(Path(static_cast<int>(i) + 1), files_[i]);
    }
    return GgufFile::Open(Path(1));
  }

  void ExpectMalformed(const std::string& text) const {
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }

  std::string folder_;
  std::vector<File> files_;
};

TEST_F(GgufSplitTest, TheFilesAreOneModel) {
  const auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->name(), Path(1));
  EXPECT_EQ((*file)->shards(), 3u);
  EXPECT_EQ((*file)->shard_name(2), Path(3));
  EXPECT_EQ((*file)->shard_size(1), Image(files_[1]).size());
  EXPECT_EQ(*(*file)->GetUint("llama.first"), 7u);
  EXPECT_EQ((*file)->FindEntry("general.x"), nullptr);
  ASSERT_EQ((*file)->tensors().size(), 4u);
  for (const std::string name : {"a", "b", "c", "d"}) {
    const GgufTensor* tensor = (*file)->FindTensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    const std::vector<uint8_t> data = *(*file)->ReadTensor(*tensor);
    EXPECT_EQ(data.size(), 32u);
    EXPECT_EQ(data[0], name[0]);
  }
  EXPECT_EQ((*file)->FindTensor("c")->shard, 1u);
}

TEST_F(GgufSplitTest, AWholeModelMaySayThatItIsOne) {
  files_ = {{.number = 0, .count = 1, .tensors_count = 1, .tensors = {"a"}}};
  EXPECT_TRUE(Open().ok()) << Open().status();
  EXPECT_TRUE(GgufFile::FromBytes(Image(files_[0]), "m").ok());
}

TEST_F(GgufSplitTest, AMissingFileIsNamed) {
  files_.pop_back();
  const absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("file 3 of 3: ", Path(3))));
}

TEST_F(GgufSplitTest, TheSameFileTwiceIsRefused) {
  files_[2] = files_[1];
  ExpectMalformed(absl::StrCat(Path(3),
                               ": offset 24: key 'split.no': is 1, "
                               "must be 2 by the file's name"));
}

TEST_F(GgufSplitTest, CountsMustAgree) {
  files_[1].count = 4;
  ExpectMalformed("key 'split.count': is 4, must be 3 as in the first file");
  files_[1].count = 3;
  files_[2].tensors_count = 5;
  ExpectMalformed(
      "key 'split.tensors.count': is 5, must be 4 as in the first file");
  for (File& file : files_) file.tensors_count = 5;
  ExpectMalformed("'split.tensors.count': is 5, the 3 files hold 4");
}

TEST_F(GgufSplitTest, TheNameMustSayTheSame) {
  Write(folder_ + "/other.gguf", files_[0]);
  EXPECT_THAT(
      std::string(GgufFile::Open(folder_ + "/other.gguf").status().message()),
      HasSubstr("'split.count': is 3, so the name must end in "
                "-00001-of-00003.gguf"));
  Write(Path(1, 4), files_[0]);
  EXPECT_FALSE(GgufFile::Open(Path(1, 4)).ok());
  Write(Path(2), files_[0]);
  EXPECT_FALSE(GgufFile::Open(Path(2)).ok());
}

TEST_F(GgufSplitTest, TheFirstFileIsOpened) {
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(std::string(GgufFile::Open(Path(2)).status().message()),
              HasSubstr(absl::StrCat("'split.no': is 1: a later one of 3 "
                                     "files; open the first, ",
                                     Path(1))));
}

TEST_F(GgufSplitTest, OneOfSeveralIsNoModelInMemory) {
  EXPECT_THAT(
      std::string(
          GgufFile::FromBytes(Image(files_[0]), "m").status().message()),
      HasSubstr("'split.count': is 3: one of several files"));
}

TEST_F(GgufSplitTest, ATensorTwiceIsRefused) {
  files_[2].tensors = {"b"};
  ExpectMalformed("tensor 'b': is in an earlier file too");
}

TEST_F(GgufSplitTest, MetadataStandInTheFirstFile) {
  files_[1].keys = {"llama.block_count"};
  ExpectMalformed("key 'llama.block_count': stands in a file after the first");
}

TEST_F(GgufSplitTest, KeysAreNeededAndBounded) {
  GgufWriter writer;
  writer.SetUint32("split.count", 3);
  const auto open = [&] {
    std::ofstream(Path(1), std::ios::binary) << writer.Serialize();
    return std::string(GgufFile::Open(Path(1)).status().message());
  };
  EXPECT_THAT(open(), HasSubstr("'split.tensors.count': is missing"));
  writer.SetUint32("split.tensors.count", 3);
  EXPECT_THAT(open(), HasSubstr("'split.no': is missing"));
  writer = GgufWriter();
  writer.SetUint32("split.count", kGgufShardsMax + 1);
  EXPECT_THAT(open(), HasSubstr("'split.count': is 1025, must be at most"));
  writer = GgufWriter();
  writer.SetString("split.count", "3");
  EXPECT_THAT(open(), HasSubstr("'split.count': has type string"));
}

TEST_F(GgufSplitTest, EachFileIsCheckedAsAny) {
  ASSERT_TRUE(Open().ok());
  std::ofstream(Path(2), std::ios::binary) << "GGUX";
  const absl::Status status = GgufFile::Open(Path(1)).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path(2)));
}

TEST(GgufShardNameTest, ParsesAndPrints) {
  const auto name = GgufShardName::Parse("a/b-x-00002-of-00031.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->stem, "a/b-x");
  EXPECT_EQ(name->number, 2u);
  EXPECT_EQ(name->count, 31u);
  EXPECT_EQ(name->Path(), "a/b-x-00002-of-00031.gguf");
  for (const char* other :
       {"", "a.gguf", "a-00002-of-00031", "a-0002-of-00031.gguf",
        "a-00002-of-0003.gguf", "a-000x2-of-00031.gguf",
        "a-+0002-of-00031.gguf", "a00002-of-00031.gguf", "-of-00031.gguf"}) {
    EXPECT_FALSE(GgufShardName::Parse(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace tandem
