#include "tests/engine/tokenizer/known_texts.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

std::string ReadWholeFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream content;
  content << stream.rdbuf();
  return content.str();
}

std::unique_ptr<Tokenizer> TokenizerOfFile(const std::string& path) {
  const auto file = GgufFile::Open(path);
  if (!file.ok()) return nullptr;
  auto tokenizer = Tokenizer::FromGguf(**file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

std::string KnownEncodingsFolder() {
  return TANDEM_SOURCE_DIR "/../shared/vocabs/";
}

KnownEncodings ReadKnownEncodings(const std::string& name) {
  const std::string stem = absl::StrCat(KnownEncodingsFolder(), name);
  KnownEncodings known;
  known.tokenizer = TokenizerOfFile(absl::StrCat(stem, ".gguf"));
  if (known.tokenizer == nullptr) return known;
  known.texts = absl::StrSplit(ReadWholeFile(absl::StrCat(stem, ".inp")),
                               "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines =
      absl::StrSplit(ReadWholeFile(absl::StrCat(stem, ".out")), '\n');
  // The texts end with a separator, the encodings with a newline.
  known.texts.resize(46);
  for (size_t i = 0; i < known.texts.size(); ++i) {
    std::vector<TokenId>& ids = known.ids.emplace_back();
    for (const absl::string_view number :
         absl::StrSplit(lines[i], ' ', absl::SkipEmpty())) {
      EXPECT_TRUE(absl::SimpleAtoi(number, &ids.emplace_back())) << number;
    }
  }
  return known;
}

void AppendUtf8(uint32_t code_point, std::string* text) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text->append(reinterpret_cast<const char*>(bytes), length);
}

std::string RandomText(std::mt19937_64* random, const std::string& words) {
  const auto pick = [random](uint32_t low, uint32_t high) {
    return low + static_cast<uint32_t>((*random)() % (high - low + 1));
  };
  std::string text;
  for (uint32_t parts = pick(0, 24); parts > 0; --parts) {
    uint32_t point = 0;
    switch (pick(0, 10)) {
      case 0:
        text += std::string(pick(1, 5), ' ');
        continue;
      case 1: {
        const size_t at = (*random)() % (words.size() - 40);
        const std::string piece = words.substr(at, pick(1, 40));
        text += piece;
        continue;
      }
      case 2:
        AppendUtf8(0x2581, &text);
        continue;
      case 3:
        point = pick(0, 0x1F);  // control characters, NUL among them
        break;
      case 4:
        point = pick(0x300, 0x36F);  // combining
        break;
      case 5:
        point = pick(0x4E00, 0x9FFF);  // CJK
        break;
      case 6:
        point = pick(0x1F300, 0x1FAFF);  // emoji
        break;
      case 7:
        point = pick(0x590, 0x6FF);  // Hebrew and Arabic
        break;
      case 8:
        point = pick(0x2000, 0x206F);  // spaces, joiners, directions
        break;
      default:
        point = pick(0x20, 0x7E);
    }
    AppendUtf8(point, &text);
  }
  return text;
}

}  // namespace tandem
