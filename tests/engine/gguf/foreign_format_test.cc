#include "engine/gguf/foreign_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/gguf/gguf_file.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

// A literal with NULs in it.
template <size_t kSize>
std::string Bytes(const char (&text)[kSize]) {
  return std::string(text, kSize - 1);
}

std::string Tar() {
  std::string tar(512, '\0');
  tar.replace(0, 10, "model.gguf");
  tar.replace(257, 5, "ustar");
  return tar;
}

TEST(ForeignFormatTest, SaysWhatAFileLooksLike) {
  const struct {
    std::string bytes;
    std::string what;
    std::string remedy;
  } cases[] = {
      {Bytes("\x28\0\0\0\0\0\0\0{\"__metadata__\":{}}"), "a safetensors file",
       "convert_hf_to_gguf.py"},
      {Bytes("PK\x03\x04\0\0\0\0archive/data.pkl"), "a PyTorch checkpoint",
       "convert_hf_to_gguf.py"},
      {"\x80\x02}q.", "a PyTorch checkpoint", "convert_hf_to_gguf.py"},
      {Bytes("PK\x03\x04\0\0\0\0model.gguf"), "an archive", "unpack"},
      {Tar(), "an archive", "unpack"},
      {Bytes("\x1f\x8b\x08\0abcd"), "compressed", "unpack"},
      {Bytes("\xfd\x37zXZ\0abc"), "compressed", "unpack"},
      {"\x28\xb5\x2f\xfd....", "compressed", "unpack"},
      {"<!DOCTYPE html><html>", "a web page", "link of the file"},
      {"\r\n <html lang=\"en\">", "a web page", "link of the file"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 7\n",
       "a Git LFS pointer", "git lfs pull"},
      {"{\"error\": \"Repository not found\"}", "JSON text", "model file"},
      {"root:x:0:0:root:/root:/bin/bash\n", "a text file", "named .gguf"},
      {"Once\tupon a time\r\n" + std::string(2000, 'a') + "\xff", "a text file",
       "named .gguf"},
      {"lmgg....", "a format before GGUF", "convert the model again"},
      {"tjgg....", "a format before GGUF", "convert the model again"},
      {Bytes("\x08\x07\x12\x07pytorch"), "ONNX", "download a GGUF"},
  };
  for (const auto& [bytes, what, remedy] : cases) {
    SCOPED_TRACE(what);
    const auto file = GgufFile::FromBytes(bytes, "model.gguf");
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(file.status().message());
    EXPECT_THAT(message, HasSubstr("model.gguf: offset 0: "));
    EXPECT_THAT(message, HasSubstr("not a GGUF file: it is "));
    EXPECT_THAT(message, HasSubstr(what));
    EXPECT_THAT(message, HasSubstr(remedy));
  }
}

TEST(ForeignFormatTest, KnowsNothingOfOtherBytes) {
  for (const std::string& bytes :
       {std::string(), std::string("abc\x01"), std::string("abc\xff"),
        std::string(1000, '\0'),
        // No length of a safetensors header: more than any has.
        std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{\"", 10)}) {
    EXPECT_EQ(
        DescribeForeignFile(absl::MakeConstSpan(
            reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())),
        "");
  }
}

TEST(ForeignFormatTest, ADirectoryIsNamed) {
  const absl::Status status = GgufFile::Open(::testing::TempDir()).status();
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("is a directory, not a GGUF file: name the .gguf file"));
}

}  // namespace
}  // namespace tandem
