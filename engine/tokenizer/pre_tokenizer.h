// Cuts a text into the words that byte-level BPE merges within
// (tokenizer.ggml.pre of a GGUF). Constants of the program; any thread.
//
// Each family of models publishes its cut as one or more regular expressions.
// Here they stand as a table of rules, run by one scanner that never goes back
// further than a run of characters, so the time is linear in any text.

#ifndef TANDEM_ENGINE_TOKENIZER_PRE_TOKENIZER_H_
#define TANDEM_ENGINE_TOKENIZER_PRE_TOKENIZER_H_

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

struct PreTokenizerStage;  // in pre_tokenizer.cc

// What else the tokenizers of a family do.
struct PreTokenizerTraits {
  bool ignores_merges = false;
  bool adds_bos = false;
  bool normalizes = false;
};

class PreTokenizer {
 public:
  // By the name that a file gives; null where there is none of that name.
  static const PreTokenizer* Find(absl::string_view name);
  // All names, for messages: "default, gpt-2, ...".
  static std::string Names();

  // Calls `on_word` for each word of `text`, in order. The words joined are the
  // text; none is empty. Returns how many characters were looked at: at most
  // kLooksMax times the characters of the text.
  using OnWord = absl::FunctionRef<void(absl::string_view word)>;
  size_t Split(absl::string_view text, OnWord on_word) const;
  // Each stage looks at a character a few times (longest: a letter that no rule
  // of "gpt-4o" takes with the run before it), and there are up to 6 stages.
  static constexpr size_t kLooksMax = 64;

  // A word that is a token as a whole is that token, whatever the merges.
  bool ignores_merges() const { return traits_.ignores_merges; }
  // Where the file does not say whether texts begin with BOS.
  bool adds_bos() const { return traits_.adds_bos; }
  // Texts are brought to NFC first (nfc.h).
  bool normalizes() const { return traits_.normalizes; }

  constexpr PreTokenizer(absl::string_view name,
                         absl::Span<const PreTokenizerStage> stages,
                         const PreTokenizerTraits& traits = {})
      : name_(name), stages_(stages), traits_(traits) {}

 private:
  absl::string_view name_;
  absl::Span<const PreTokenizerStage> stages_;
  PreTokenizerTraits traits_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_PRE_TOKENIZER_H_
