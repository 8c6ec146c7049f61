// The few types that every folder names.

#ifndef TANDEM_ENGINE_BASE_TYPES_H_
#define TANDEM_ENGINE_BASE_TYPES_H_

#include <cstdint>

namespace tandem {

// Index into the vocabulary. Valid ids are 0 .. vocab_size - 1.
using TokenId = int32_t;

// Index of a token in its whole session; BOS = 0.
using Position = int64_t;

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_TYPES_H_
