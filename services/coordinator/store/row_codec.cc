#include "services/coordinator/store/row_codec.h"

// Its functions become part of this file, so no program needs the library.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <memory>

#include "engine/base/check.h"

namespace tandem {
namespace {

static_assert(std::endian::native == std::endian::little);

void AddFramed(absl::string_view bytes, XXH3_state_t* state) {
  const uint64_t size = bytes.size();
  XXH3_64bits_update(state, &size, sizeof(size));
  XXH3_64bits_update(state, bytes.data(), bytes.size());
}

}  // namespace

std::string TokenBytes(absl::Span<const TokenId> tokens) {
  return std::string(reinterpret_cast<const char*>(tokens.data()),
                     tokens.size() * sizeof(TokenId));
}

std::optional<std::vector<TokenId>> TokensOfBytes(absl::string_view bytes) {
  if (bytes.size() % sizeof(TokenId) != 0) return std::nullopt;
  std::vector<TokenId> tokens(bytes.size() / sizeof(TokenId));
  if (!tokens.empty()) memcpy(tokens.data(), bytes.data(), bytes.size());
  for (const TokenId token : tokens) {
    if (token < 0) return std::nullopt;
  }
  return tokens;
}

int64_t RowChecksum(absl::string_view table,
                    absl::Span<const SqlValue> values) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(
      XXH3_createState(), &XXH3_freeState);
  TANDEM_CHECK(state != nullptr);
  XXH3_64bits_reset(state.get());
  AddFramed(table, state.get());
  for (const SqlValue& value : values) {
    if (const auto* const number = std::get_if<int64_t>(&value)) {
      AddFramed({reinterpret_cast<const char*>(number), sizeof(*number)},
                state.get());
    } else {
      AddFramed(std::get<std::string>(value), state.get());
    }
  }
  return static_cast<int64_t>(XXH3_64bits_digest(state.get()));
}

}  // namespace tandem
