#include "engine/reply/reply_parts.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "engine/base/hash.h"

namespace tandem {
namespace {

constexpr size_t kCallIdBytes = 9;

}  // namespace

std::string CallId(absl::string_view seed, int index) {
  constexpr absl::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  Sha256 hash;
  hash.AddString("call");
  hash.AddString(seed);
  hash.AddNumber(static_cast<uint64_t>(index));
  const std::string digest = absl::HexStringToBytes(hash.HexDigest());
  std::string id;
  for (size_t i = 0; i < kCallIdBytes; ++i) {
    id.push_back(kDigits[static_cast<uint8_t>(digest[i]) % kDigits.size()]);
  }
  return id;
}

void CallWriter::Begin(absl::string_view name, ReplyParts* parts) {
  parts->calls.push_back({.index = count_,
                          .id = CallId(id_seed_, count_),
                          .name = std::string(name)});
  ++count_;
}

void CallWriter::AddArguments(char byte, ReplyParts* parts) const {
  if (parts->calls.empty()) parts->calls.push_back({.index = count_ - 1});
  parts->calls.back().arguments.push_back(byte);
}

}  // namespace tandem
