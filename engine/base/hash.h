// SHA-256 (OpenSSL), for fingerprints: equal digests are taken for equal
// content.

#ifndef TANDEM_ENGINE_BASE_HASH_H_
#define TANDEM_ENGINE_BASE_HASH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

// Each Add* but AddUnframed is framed by its length, so no two sequences of
// calls with different content give the same digest input.
class Sha256 {
 public:
  Sha256();
  ~Sha256();

  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void AddBytes(absl::Span<const uint8_t> bytes);
  void AddString(absl::string_view text);
  void AddNumber(uint64_t number);
  // The bytes alone: alone and piece by piece, for Sha256OfBytes of what does
  // not lie in memory.
  void AddUnframed(absl::Span<const uint8_t> bytes);

  // The digest in 64 lower-case hexadecimal digits. Called once.
  std::string HexDigest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The next output of splitmix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014) in the state `x`: spreads every
// bit of `x` over all. No secret, no protection against chosen input.
inline uint64_t SplitMix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// SHA-256 of the bytes alone, as sha256sum prints it.
std::string Sha256OfBytes(absl::Span<const uint8_t> bytes);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_HASH_H_
