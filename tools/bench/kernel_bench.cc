// Speed of the matmul kernels, beside what the memory can give.
//
//   tandem-kernel-bench --benchmark_filter=Q4_0
//
// An iteration multiplies M rows by one matrix [outputs, inputs]. "memory" goes
// round enough matrices to fill kWorkingSetBytes, so that weights come from
// memory as in a forward pass; "cached" uses one again and again. GB/s counts
// the weights as they lie in memory, GMAC/s the multiply-adds. Both are of the
// iteration at the tenth percentile, so that they say what the code does when
// other processes leave it alone. "Attend" runs the queries of one KV head over
// the blocks of its positions on one thread. "Sample" chooses the tokens of a
// verification's rows from logits of a large vocabulary.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/cpu_features.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/weight_format.h"
#include "engine/sampling/logits_processor.h"
#include "tools/bench/machine_limits.h"

namespace tandem {
namespace {
constexpr int64_t kWorkingSetBytes = int64_t{512} << 20;

struct Case {
  TensorType type = TensorType::kF32;
  NumericsMode mode = NumericsMode::kF32;
  SimdLevel level = SimdLevel::kScalar;
  int64_t working_set_bytes = 0;
  int64_t outputs = 0;
  int64_t inputs = 0;
  int64_t rows = 0;
  int threads = 0;
};

// Random elements. Bytes of 0x00 .. 0x3f keep every scale a small finite half;
// the last byte of a float has its sign and exponent, 2^-3 or so: subnormal
// numbers, which no model's weights are, cost a hundred times as much.
std::vector<uint8_t> RandomData(const Case& c) {
  std::vector<uint8_t> data(WeightBytes(c.type, c.outputs * c.inputs));
  uint32_t state = 1;
  for (uint8_t& byte : data) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(state >> 26);
  }
  if (!IsFloatWeightType(c.type)) return data;
  const size_t size = WeightBytes(c.type, 1);
  const int exponent = c.type == TensorType::kF16 ? 0x30 : 0x3e;
  for (size_t at = size - 1; at < data.size(); at += size) {
    data[at] = static_cast<uint8_t>(exponent | data[at] << 7);
  }
  return data;
}

// The matrices of a case, made once and kept, so that repetitions of many cases
// can be interleaved (--benchmark_enable_random_interleaving).
const std::vector<Linear>& MatricesOf(const Case& c, ThreadTeam* team) {
  using Key = std::tuple<TensorType, NumericsMode, int64_t, int64_t, int64_t>;
  static auto* const made = new std::map<Key, std::vector<Linear>>();
  std::vector<Linear>& matrices =
      (*made)[{c.type, c.mode, c.outputs, c.inputs, c.working_set_bytes}];
  if (!matrices.empty()) return matrices;
  const std::vector<uint8_t> data = RandomData(c);
  const LinearSource source = {.name = "bench",
                               .type = c.type,
                               .data = data,
                               .outputs = c.outputs,
                               .inputs = c.inputs};
  int64_t held = 0;
  do {
    matrices.push_back(Linear::Create(source, c.mode, team).value());
    held += matrices.back().bytes();
  } while (held < c.working_set_bytes);
  return matrices;
}

// What an iteration moves and computes.
struct Work {
  double bytes = 0;
  double macs = 0;
};

// Times `body` as one iteration a call, after `prepare`, and reports the rates
// of the iteration at the tenth percentile.
void Measure(
    benchmark::State& state, const Work& work,
    const std::function<void()>& body,
    const std::function<void()>& prepare = [] {}) {
  std::vector<double> seconds;
  for (auto _ : state) {
    prepare();
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> taken =
        std::chrono::steady_clock::now() - start;
    seconds.push_back(taken.count());
    state.SetIterationTime(taken.count());
  }
  const size_t at = seconds.size() / 10;
  std::nth_element(seconds.begin(), seconds.begin() + at, seconds.end());
  state.counters["GB/s"] = work.bytes / seconds[at] * 1e-9;
  state.counters["GMAC/s"] = work.macs / seconds[at] * 1e-9;
  state.counters["us"] = seconds[at] * 1e6;
}

void MultiplyAll(benchmark::State& state, const Case& c) {
  ThreadTeam team(c.threads);
  const std::vector<Linear>& matrices = MatricesOf(c, &team);
  std::vector<float> x(c.rows * c.inputs);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i % 97) / 48.0f - 1.0f;
  }
  std::vector<float> y(c.rows * c.outputs);
  Multiplier multiplier(c.mode, c.rows, c.inputs, KernelsFor(c.level), &team);
  size_t next = 0;
  Measure(
      state,
      {.bytes = static_cast<double>(matrices[0].bytes()),
       .macs = static_cast<double>(c.rows * c.outputs * c.inputs)},
      [&] {
        multiplier.Multiply(x.data(), c.rows, {{&matrices[next], y.data()}});
        next = (next + 1) % matrices.size();
        benchmark::ClobberMemory();
      });
}

constexpr int64_t kHeadDim = 64;

// One thread: `queries` of a KV head over all blocks of `bytes` of bf16 keys
// and values. GMAC/s counts both products.
void AttendBlocks(benchmark::State& state, SimdLevel level, int64_t queries,
                  int64_t bytes) {
  constexpr int64_t kBlock = kHeadDim * kKvPageTokens;  // of keys, or values
  const int64_t blocks = bytes / (2 * kBlock * 2);
  AlignedBuffer<uint16_t> kv(blocks * 2 * kBlock);
  for (int64_t i = 0; i < blocks * 2 * kBlock; ++i) {
    kv.data()[i] = static_cast<uint16_t>(0x3c00 + i % 97);
  }
  const std::vector<float> query(kHeadDim, 0.01f);
  std::vector<float> values(queries * kHeadDim);
  std::vector<AttentionQuery> gathered(queries);
  const double seen = static_cast<double>(blocks * kKvPageTokens);
  Measure(state,
          {.bytes = seen * 2 * kHeadDim * sizeof(uint16_t),
           .macs = seen * 2 * kHeadDim * static_cast<double>(queries)},
          [&] {
            for (int64_t q = 0; q < queries; ++q) {
              gathered[q] = {.query = query.data(),
                             .values = values.data() + q * kHeadDim};
              BeginAttention(kHeadDim, &gathered[q]);
            }
            for (int64_t block = 0; block < blocks; ++block) {
              const uint16_t* keys = kv.data() + block * 2 * kBlock;
              const bool last = block + 1 == blocks;
              AttendBlock(KernelsFor(level), KvType::kBf16,
                          {.keys = keys,
                           .values = keys + kBlock,
                           .next_keys = last ? nullptr : keys + 2 * kBlock,
                           .next_values = last ? nullptr : keys + 3 * kBlock,
                           .begin = 0,
                           .end = kKvPageTokens,
                           .head_dim = kHeadDim,
                           .scale = 0.125f,
                           .queries = gathered.data(),
                           .query_count = queries});
            }
            benchmark::ClobberMemory();
          });
}

// What the machine gives, in the same units.
void ReadMemory(benchmark::State& state) {
  ThreadTeam team(AvailableCpus());
  const bench::ReadBandwidth reader;
  std::vector<double> samples;
  for (auto _ : state) samples.push_back(reader.Measure(&team));
  const size_t at = samples.size() / 10;
  std::nth_element(samples.begin(), samples.begin() + at, samples.end(),
                   std::greater<>());
  state.counters["GB/s"] = samples[at] * 1e-9;
}

void MultiplyRegisters(benchmark::State& state) {
  ThreadTeam team(AvailableCpus());
  double best = 0;
  for (auto _ : state) {
    best = std::max(best, bench::Int8Peak(DetectedSimdLevel(), &team));
  }
  state.counters["GMAC/s"] = best * 1e-9;
}

void Sample(benchmark::State& state, const GenOptions& options) {
  constexpr int kRows = 8;
  constexpr int kVocab = 1 << 17;
  // Logits as those of a model that is sure of about half of its tokens.
  std::mt19937 engine(1);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  std::vector<float> logits(kVocab);
  for (float& logit : logits) logit = normal(engine);
  std::vector<TokenId> history(512);
  for (size_t i = 0; i < history.size(); ++i) {
    history[i] = static_cast<TokenId>(i * 131 % kVocab);
  }
  std::vector<std::vector<float>> rows;
  std::optional<LogitsProcessor> processor;
  Measure(
      state, {},
      [&] {
        for (std::vector<float>& row : rows) {
          processor->Append(processor->Sample(absl::MakeSpan(row)).value().id);
        }
      },
      [&] {
        rows.assign(kRows, logits);
        processor.emplace(options, kVocab, history, 256);
      });
}

// A benchmark that takes its own time.
void RegisterTimed(const std::string& name,
                   const std::function<void(benchmark::State&)>& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(0.3);
}

void RegisterAttend(SimdLevel level, int64_t queries, int64_t bytes) {
  const std::string name = absl::StrCat(
      "Attend/", SimdLevelName(level),
      bytes >= kWorkingSetBytes ? "/memory" : "/cached", "/queries:", queries);
  RegisterTimed(name, [=](benchmark::State& state) {
    AttendBlocks(state, level, queries, bytes);
  });
}

// One matrix [2048, 5632] times each number of rows.
void RegisterMatmul(Case c, std::initializer_list<int64_t> rows) {
  c.outputs = 2048;
  c.inputs = 5632;
  c.threads = AvailableCpus();
  for (const int64_t count : rows) {
    c.rows = count;
    const std::string name = absl::StrCat(
        GetTensorTypeInfo(c.type).name, "_", NumericsModeName(c.mode), "/",
        SimdLevelName(c.level), "/", c.outputs, "x", c.inputs,
        c.working_set_bytes == 0 ? "/cached" : "/memory", "/M:", c.rows);
    RegisterTimed(name,
                  [c](benchmark::State& state) { MultiplyAll(state, c); });
  }
}

// The kernel over float matrices of mixed files, and oneDNN over the same
// values as pure float files have them: F16 as F32.
void RegisterFloats(absl::Span<const SimdLevel> levels) {
  const auto add = [](TensorType type, NumericsMode mode, SimdLevel level) {
    RegisterMatmul({.type = type,
                    .mode = mode,
                    .level = level,
                    .working_set_bytes = kWorkingSetBytes},
                   {1, 4, 8, 64, 256});
  };
  for (TensorType type :
       {TensorType::kF16, TensorType::kBF16, TensorType::kF32}) {
    for (SimdLevel level : levels) add(type, NumericsMode::kInt8Float, level);
  }
  add(TensorType::kF32, NumericsMode::kF32, DetectedSimdLevel());
  if (CpuHasBf16Matmul()) {
    add(TensorType::kBF16, NumericsMode::kBf16, DetectedSimdLevel());
  }
}

void RegisterAll() {
  std::vector<SimdLevel> levels;
  for (SimdLevel level : {SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (level <= DetectedSimdLevel()) levels.push_back(level);
  }
  RegisterFloats(levels);
  benchmark::RegisterBenchmark("ReadMemory", ReadMemory)->MinTime(0.5);
  benchmark::RegisterBenchmark("Int8Peak", MultiplyRegisters)->MinTime(0.5);
  for (const auto& [name, options] :
       {std::pair{"defaults", GenOptions{.seed = 1}},
        std::pair{"no_top_k", GenOptions{.top_k = 0, .seed = 1}},
        std::pair{"greedy", GenOptions{.temperature = 0, .seed = 1}}}) {
    RegisterTimed(absl::StrCat("Sample/8x131072/", name),
                  [options = options](benchmark::State& state) {
                    Sample(state, options);
                  });
  }
  for (SimdLevel level : levels) {
    for (int64_t queries : {1, 8, 64}) {
      RegisterAttend(level, queries, 1 << 14);
      RegisterAttend(level, queries, kWorkingSetBytes);
    }
  }
  levels.insert(levels.begin(), SimdLevel::kScalar);
  for (TensorType type : {TensorType::kQ4_0, TensorType::kQ8_0,
                          TensorType::kQ4_K, TensorType::kQ6_K}) {
    for (SimdLevel level : levels) {
      for (int64_t working_set : {kWorkingSetBytes, int64_t{0}}) {
        const Case c = {.type = type,
                        .mode = NumericsMode::kInt8,
                        .level = level,
                        .working_set_bytes = working_set};
        RegisterMatmul(c, {1, 2, 4, 8});
        if (level != SimdLevel::kScalar) RegisterMatmul(c, {16, 128});
      }
    }
  }
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  tandem::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
