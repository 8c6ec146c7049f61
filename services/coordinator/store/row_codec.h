// How rows hold what is not a number or a text, and the checksum that each row
// carries. Pure; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_ROW_CODEC_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_ROW_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "services/coordinator/store/sql_connection.h"

namespace tandem {

// Four bytes for each id, little-endian.
std::string TokenBytes(absl::Span<const TokenId> tokens);
// Absent where the bytes are no such ids.
std::optional<std::vector<TokenId>> TokensOfBytes(absl::string_view bytes);

// XXH3 (64 bits) over the table's name and the row's values in the order of
// its columns, each with its length: a row in another row's place fails it too.
int64_t RowChecksum(absl::string_view table, absl::Span<const SqlValue> values);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_ROW_CODEC_H_
