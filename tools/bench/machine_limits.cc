#include "tools/bench/machine_limits.h"

#include <immintrin.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tandem::bench {
namespace {

constexpr size_t kReadBytes = size_t{256} << 20;
constexpr int kReadChunks = 16;  // a thread
// Independent sums, 32-bit lanes of 4 products or 16-bit lanes of 2: enough to
// hide the latency of an instruction.
constexpr int kChains = 8;
constexpr int64_t kPeakIterations = int64_t{1} << 20;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - start;
  return taken.count();
}

uint64_t SumWords(const uint64_t* words, int64_t count) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

// Written out: the compiler would fold equal additions into one, or keep the
// sums in memory.
__attribute__((target("avx512f,avx512vnni"))) int32_t DotsAvx512() {
  __m512i a = _mm512_setzero_si512();
  __m512i b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const __m512i codes = _mm512_set1_epi8(3);
  const __m512i values = _mm512_set1_epi8(-5);
  for (int64_t i = 0; i < kPeakIterations; ++i) {
    __asm__ volatile(
        "vpdpbusd %9, %8, %0\n\tvpdpbusd %9, %8, %1\n\t"
        "vpdpbusd %9, %8, %2\n\tvpdpbusd %9, %8, %3\n\t"
        "vpdpbusd %9, %8, %4\n\tvpdpbusd %9, %8, %5\n\t"
        "vpdpbusd %9, %8, %6\n\tvpdpbusd %9, %8, %7"
        : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f), "+v"(g), "+v"(h)
        : "v"(codes), "v"(values));
  }
  return _mm512_cvtsi512_si32(_mm512_add_epi32(
      _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d)),
      _mm512_add_epi32(_mm512_add_epi32(e, f), _mm512_add_epi32(g, h))));
}

// As the kernels have it for 4-bit codes: products of bytes added up in 16
// bits.
__attribute__((target("avx2"))) int32_t DotsAvx2() {
  __m256i a = _mm256_setzero_si256();
  __m256i b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const __m256i codes = _mm256_set1_epi8(3);
  const __m256i values = _mm256_set1_epi8(-5);
  for (int64_t i = 0; i < kPeakIterations; ++i) {
    __m256i products[4];
    __asm__ volatile(
        "vpmaddubsw %13, %12, %8\n\tvpaddw %8, %0, %0\n\t"
        "vpmaddubsw %13, %12, %9\n\tvpaddw %9, %1, %1\n\t"
        "vpmaddubsw %13, %12, %10\n\tvpaddw %10, %2, %2\n\t"
        "vpmaddubsw %13, %12, %11\n\tvpaddw %11, %3, %3\n\t"
        "vpmaddubsw %13, %12, %8\n\tvpaddw %8, %4, %4\n\t"
        "vpmaddubsw %13, %12, %9\n\tvpaddw %9, %5, %5\n\t"
        "vpmaddubsw %13, %12, %10\n\tvpaddw %10, %6, %6\n\t"
        "vpmaddubsw %13, %12, %11\n\tvpaddw %11, %7, %7"
        : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f), "+x"(g),
          "+x"(h), "=&x"(products[0]), "=&x"(products[1]), "=&x"(products[2]),
          "=&x"(products[3])
        : "x"(codes), "x"(values));
  }
  return _mm256_cvtsi256_si32(_mm256_add_epi16(
      _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d)),
      _mm256_add_epi16(_mm256_add_epi16(e, f), _mm256_add_epi16(g, h))));
}

// A place for results, so that computing them is not dropped.
struct Sink {
  alignas(64) volatile uint64_t value = 0;
};

}  // namespace

ReadBandwidth::ReadBandwidth() : memory_(kReadBytes) {
  std::memset(memory_.data(), 1, memory_.size());
}

double ReadBandwidth::Measure(ThreadTeam* team) const {
  const int64_t words = static_cast<int64_t>(memory_.size() / 8);
  const auto* data = reinterpret_cast<const uint64_t*>(memory_.data());
  std::vector<Sink> sinks(team->size());
  const int chunks = team->size() * kReadChunks;
  const auto start = std::chrono::steady_clock::now();
  team->Run(chunks, [&](int member, int chunk) {
    const int64_t begin = words * chunk / chunks;
    const int64_t end = words * (chunk + 1) / chunks;
    sinks[member].value =
        sinks[member].value + SumWords(data + begin, end - begin);
  });
  return static_cast<double>(memory_.size()) / SecondsSince(start);
}

double Int8Peak(SimdLevel level, ThreadTeam* team) {
  if (level == SimdLevel::kScalar) return 0;
  const bool wide = level == SimdLevel::kAvx512;
  std::vector<Sink> sinks(team->size());
  const auto start = std::chrono::steady_clock::now();
  team->Run(team->size(), [&](int member, int /*chunk*/) {
    sinks[member].value = wide ? DotsAvx512() : DotsAvx2();
  });
  const double macs_per_iteration = kChains * (wide ? 64 : 32);
  return macs_per_iteration * static_cast<double>(kPeakIterations) *
         team->size() / SecondsSince(start);
}

}  // namespace tandem::bench
