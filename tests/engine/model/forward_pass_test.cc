// The pass against a plain implementation in double precision, and what it
// hands to the consumer.

#include "engine/model/forward_pass.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/engine.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using Matrix = std::vector<double>;

// A llama forward pass as the papers have it: whole sequence at once, doubles,
// no cache, no tricks. One instance a model.
class PlainLlama {
 public:
  PlainLlama(TinyModel tiny, const TinyModelSpec& spec)
      : tiny_(std::move(tiny)), spec_(spec) {}

  // Logits after every token [tokens, vocab].
  Matrix Run(const std::vector<TokenId>& tokens) {
    const int64_t count = static_cast<int64_t>(tokens.size());
    const Matrix table = Values("token_embd.weight");
    Matrix x(count * spec_.width);
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t i = 0; i < spec_.width; ++i) {
        x[t * spec_.width + i] = table[tokens[t] * spec_.width + i];
      }
    }
    for (int64_t i = 0; i < spec_.layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      const Matrix normed = Norm(x, blk + "attn_norm.weight");
      Matrix query = Multiply(normed, spec_.width, blk + "attn_q.weight");
      Matrix key = Multiply(normed, spec_.width, blk + "attn_k.weight");
      const Matrix value = Multiply(normed, spec_.width, blk + "attn_v.weight");
      Rotate(&query, spec_.heads);
      Rotate(&key, spec_.kv_heads);
      Add(Multiply(Attend(query, key, value), spec_.heads * spec_.head_dim,
                   blk + "attn_output.weight"),
          &x);
      const Matrix second = Norm(x, blk + "ffn_norm.weight");
      Matrix gate = Multiply(second, spec_.width, blk + "ffn_gate.weight");
      const Matrix up = Multiply(second, spec_.width, blk + "ffn_up.weight");
      for (size_t j = 0; j < gate.size(); ++j) {
        gate[j] = gate[j] / (1.0 + std::exp(-gate[j])) * up[j];
      }
      Add(Multiply(gate, spec_.feed_forward_width, blk + "ffn_down.weight"),
          &x);
    }
    return Multiply(Norm(x, "output_norm.weight"), spec_.width,
                    spec_.tied ? "token_embd.weight" : "output.weight");
  }

 private:
  Matrix Values(const std::string& name) {
    const TinyTensor& tensor = tiny_.tensor(name);
    int64_t count = 1;
    for (uint64_t dim : tensor.dims) count *= static_cast<int64_t>(dim);
    std::vector<float> values(count);
    Dequantize(tensor.type, tensor.data.data(), count, values.data());
    return Matrix(values.begin(), values.end());
  }

  Matrix Norm(const Matrix& x, const std::string& name) {
    const Matrix weight = Values(name);
    Matrix out(x.size());
    for (size_t row = 0; row < x.size(); row += spec_.width) {
      double squares = 0;
      for (int64_t i = 0; i < spec_.width; ++i) {
        squares += x[row + i] * x[row + i];
      }
      const double scale =
          1.0 / std::sqrt(squares / static_cast<double>(spec_.width) + 1e-5);
      for (int64_t i = 0; i < spec_.width; ++i) {
        out[row + i] = x[row + i] * scale * weight[i];
      }
    }
    return out;
  }

  Matrix Multiply(const Matrix& x, int64_t inputs, const std::string& name) {
    const Matrix weight = Values(name);
    const int64_t rows = static_cast<int64_t>(x.size()) / inputs;
    const int64_t outputs = static_cast<int64_t>(weight.size()) / inputs;
    Matrix out(rows * outputs);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t n = 0; n < outputs; ++n) {
        for (int64_t k = 0; k < inputs; ++k) {
          out[row * outputs + n] +=
              x[row * inputs + k] * weight[n * inputs + k];
        }
      }
    }
    return out;
  }

  void Rotate(Matrix* x, int64_t heads) const {
    const int64_t width = heads * spec_.head_dim;
    for (size_t i = 0; i < x->size(); i += 2) {
      const int64_t dimension = static_cast<int64_t>(i) % spec_.head_dim;
      if (dimension >= spec_.rotary_dims) continue;
      const double position = static_cast<double>(i / width);
      const double angle =
          position *
          std::pow(10000.0, -static_cast<double>(dimension) /
                                static_cast<double>(spec_.rotary_dims));
      const double a = (*x)[i];
      const double b = (*x)[i + 1];
      (*x)[i] = a * std::cos(angle) - b * std::sin(angle);
      (*x)[i + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
  }

  Matrix Attend(const Matrix& query, const Matrix& key,
                const Matrix& value) const {
    const int64_t dim = spec_.head_dim;
    const int64_t width = spec_.heads * dim;
    const int64_t kv_width = spec_.kv_heads * dim;
    const int64_t count = static_cast<int64_t>(query.size()) / width;
    Matrix out(query.size());
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t head = 0; head < spec_.heads; ++head) {
        const int64_t kv = head / (spec_.heads / spec_.kv_heads) * dim;
        const double* q = &query[t * width + head * dim];
        Matrix weights(t + 1);
        double sum = 0;
        for (int64_t s = 0; s <= t; ++s) {
          double dot = 0;
          for (int64_t i = 0; i < dim; ++i) {
            dot += q[i] * key[s * kv_width + kv + i];
          }
          weights[s] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
          sum += weights[s];
        }
        for (int64_t s = 0; s <= t; ++s) {
          for (int64_t i = 0; i < dim; ++i) {
            out[t * width + head * dim + i] +=
                weights[s] / sum * value[s * kv_width + kv + i];
          }
        }
      }
    }
    return out;
  }

  static void Add(const Matrix& y, Matrix* x) {
    for (size_t i = 0; i < y.size(); ++i) (*x)[i] += y[i];
  }

  TinyModel tiny_;
  TinyModelSpec spec_;
};

std::vector<TokenId> RandomTokens(int64_t count, uint64_t seed) {
  TinyRandom random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(random.Below(300));
  }
  return tokens;
}

// Keeps every row with its place.
class Collector : public RowConsumer {
 public:
  struct Row {
    size_t item;
    size_t row;
    std::vector<float> logits;
  };
  void OnRow(size_t item, size_t row, absl::Span<float> logits) override {
    rows.push_back({item, row, {logits.begin(), logits.end()}});
    // The row is the consumer's to overwrite.
    std::fill(logits.begin(), logits.end(), 0.0f);
  }
  std::vector<Row> rows;
};

// Relative to the row's norm. Float32 sums of K <= 128 terms in two layers of
// seven matmuls each: about 14 roundings of sqrt(K) * 2^-24 = 7e-7 each add up
// to 3e-6 in the root mean square; four times that for unlucky sums.
constexpr double kF32Tolerance = 1.2e-5;

void ExpectPlain(const TinyModelSpec& spec, int64_t count) {
  const TinyModel tiny(spec);
  const std::vector<TokenId> tokens = RandomTokens(count, spec.seed + 100);
  const Matrix wanted = PlainLlama(tiny, spec).Run(tokens);
  const auto model = LoadTiny(tiny, {.numerics = NumericsMode::kF32});
  ASSERT_TRUE(model.ok()) << model.status();
  const auto engine = Engine::Load(*model, {.threads = 2, .rows_max = 256});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const SequenceId id = *(*engine)->Open({.tokens_max = count});
  Collector collector;
  const StepItem item = {
      .sequence = id, .tokens = tokens, .rows = WantedRows::kAll};
  ASSERT_TRUE((*engine)->Step({&item, 1}, &collector).ok());
  ASSERT_EQ(collector.rows.size(), static_cast<size_t>(count));
  for (int64_t t = 0; t < count; ++t) {
    double error = 0;
    double norm = 0;
    for (int64_t i = 0; i < spec.vocab_size; ++i) {
      const double want = wanted[t * spec.vocab_size + i];
      const double got = collector.rows[t].logits[i];
      error += (got - want) * (got - want);
      norm += want * want;
    }
    ASSERT_LT(std::sqrt(error / norm), kF32Tolerance) << "row " << t;
  }
}

TEST(ForwardPassTest, AgreesWithThePlainPass) { ExpectPlain({}, 100); }

TEST(ForwardPassTest, AgreesForEveryShape) {
  // Partial rotation, one KV head, a head width unlike width / heads, a
  // separate output head, widths that are no multiple of a SIMD register.
  ExpectPlain({.rotary_dims = 4, .seed = 2}, 70);
  ExpectPlain({.heads = 4, .kv_heads = 1, .seed = 3}, 40);
  ExpectPlain({.heads = 4, .kv_heads = 4, .seed = 4}, 40);
  ExpectPlain(
      {.width = 96, .heads = 2, .kv_heads = 1, .head_dim = 32, .seed = 5}, 33);
  ExpectPlain({.layers = 1, .tied = false, .seed = 6}, 32);
  ExpectPlain(
      {.width = 50, .feed_forward_width = 70, .vocab_size = 299, .seed = 7},
      20);
}

TEST(ForwardPassTest, AgreesForEveryTensorType) {
  for (const TensorType type : {TensorType::kF16, TensorType::kBF16,
                                TensorType::kQ8_0, TensorType::kQ4_0}) {
    ExpectPlain({.type = type, .seed = 8}, 40);
  }
}

TEST(ForwardPassTest, RowsComeInOrderWithTheirPlaces) {
  const auto model = LoadTiny(TinyModel(TinyModelSpec()));
  ASSERT_TRUE(model.ok()) << model.status();
  const auto engine = Engine::Load(*model, {.threads = 2, .rows_max = 250});
  ASSERT_TRUE(engine.ok()) << engine.status();
  // More wanted rows than two head tiles hold.
  const std::vector<TokenId> tokens = RandomTokens(70, 1);
  const std::vector<StepItem> batch = {
      {.sequence = *(*engine)->Open({.tokens_max = 100}),
       .tokens = tokens,
       .rows = WantedRows::kAll},
      {.sequence = *(*engine)->Open({.tokens_max = 100}),
       .tokens = tokens,
       .rows = WantedRows::kNone},
      {.sequence = *(*engine)->Open({.tokens_max = 100}),
       .tokens = absl::MakeConstSpan(tokens).first(60),
       .rows = WantedRows::kLast},
      {.sequence = *(*engine)->Open({.tokens_max = 100}),
       .tokens = absl::MakeConstSpan(tokens).first(50),
       .rows = WantedRows::kAll,
       .rows_from = 47},
  };
  Collector collector;
  ASSERT_TRUE((*engine)->Step(batch, &collector).ok());
  ASSERT_EQ(collector.rows.size(), 74u);
  for (size_t i = 0; i < 70; ++i) {
    EXPECT_EQ(collector.rows[i].item, 0u);
    EXPECT_EQ(collector.rows[i].row, i);
    EXPECT_EQ(collector.rows[i].logits.size(), 300u);
  }
  EXPECT_EQ(collector.rows[70].item, 2u);
  EXPECT_EQ(collector.rows[70].row, 0u);
  EXPECT_EQ(collector.rows[70].logits, collector.rows[59].logits);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(collector.rows[71 + i].item, 3u);
    EXPECT_EQ(collector.rows[71 + i].row, i);
    EXPECT_EQ(collector.rows[71 + i].logits, collector.rows[47 + i].logits);
  }
}

TEST(ForwardPassTest, AllZeroWeightsGiveEqualLogits) {
  TinyModel tiny((TinyModelSpec()));
  for (TinyTensor& tensor : tiny.tensors) {
    std::fill(tensor.data.begin(), tensor.data.end(), 0);
  }
  for (const NumericsMode mode : {NumericsMode::kF32, NumericsMode::kInt8}) {
    const auto model = LoadTiny(tiny, {.numerics = mode});
    ASSERT_TRUE(model.ok()) << model.status();
    const auto engine = Engine::Load(*model, {.threads = 1});
    ASSERT_TRUE(engine.ok()) << engine.status();
    const std::vector<TokenId> tokens = {1, 2, 3};
    const StepItem item = {.sequence = *(*engine)->Open({.tokens_max = 3}),
                           .tokens = tokens,
                           .rows = WantedRows::kLast};
    Collector collector;
    ASSERT_TRUE((*engine)->Step({&item, 1}, &collector).ok());
    EXPECT_EQ(collector.rows[0].logits, std::vector<float>(300, 0.0f));
  }
}

}  // namespace
}  // namespace tandem
