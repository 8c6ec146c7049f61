// The version of how text becomes ids. A constant.

#ifndef TANDEM_ENGINE_TOKENIZER_TEXT_VERSION_H_
#define TANDEM_ENGINE_TOKENIZER_TEXT_VERSION_H_

#include <cstdint>

namespace tandem {

// Raised with any change of which ids a text becomes or which ids end a
// generation: normalisation, pre-tokenisers, merging, ends, chat templates.
// Part of a model's fingerprint, with the version of Unicode (nfc.h); a golden
// test guards it.
inline constexpr uint64_t kTextVersion = 2;

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_TEXT_VERSION_H_
