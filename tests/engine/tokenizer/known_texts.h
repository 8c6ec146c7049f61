// Texts for tests of tokenizers: files with known encodings, and random ones.
// Pure functions.

#ifndef TANDEM_TESTS_ENGINE_TOKENIZER_KNOWN_TEXTS_H_
#define TANDEM_TESTS_ENGINE_TOKENIZER_KNOWN_TEXTS_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/base/types.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// The content; "" where there is no such file.
std::string ReadWholeFile(const std::string& path);

// The tokenizer of a GGUF; null where there is no such file.
std::unique_ptr<Tokenizer> TokenizerOfFile(const std::string& path);

// A vocabulary with texts and what the original tokenizer makes of them.
struct KnownEncodings {
  std::unique_ptr<Tokenizer> tokenizer;  // null: the files are not there
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> ids;  // without BOS
};
// From the folder of vocabularies beside the checkout, which is not part of it.
KnownEncodings ReadKnownEncodings(const std::string& name);
std::string KnownEncodingsFolder();

void AppendUtf8(uint32_t code_point, std::string* text);

// Text of all kinds of characters, many of them spaces, with pieces of
// `words` (over 40 bytes), which may be cut inside a character.
std::string RandomText(std::mt19937_64* random, const std::string& words);

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_TOKENIZER_KNOWN_TEXTS_H_
