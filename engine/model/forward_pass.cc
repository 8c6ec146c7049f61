#include "engine/model/forward_pass.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/attention.h"
#include "engine/model/attention_pass.h"

namespace tandem {
namespace {

// A region of the team costs a few microseconds, the time of about this many
// floats of elementwise work.
constexpr int64_t kInlineElements = 1 << 13;
constexpr int64_t kChunksAMember = 8;

// That the longest item reaches.
Position PositionsOf(absl::Span<const StepItem> batch) {
  Position end = 0;
  for (const StepItem& item : batch) {
    end = std::max(end,
                   item.position + static_cast<Position>(item.tokens.size()));
  }
  return end;
}

}  // namespace

ForwardPass::ForwardPass(const ModelConfig& config, const ModelWeights& weights,
                         ModelState* state)
    : config_(config),
      weights_(weights),
      state_(*state),
      scratch_(state->activations()),
      kernels_(state->kernels()) {}

void ForwardPass::Run(absl::Span<const StepItem> batch, RowConsumer* consumer) {
  PlaceRows(batch);
  if (rows_ == 0) return;
  state_.FillRope(PositionsOf(batch));
  Embed();
  for (int64_t i = 0; i < config_.layers; ++i) {
    const LayerWeights& layer = weights_.layer(i);
    AddAttention(layer, i);
    AddFeedForward(layer);
  }
  RunHead(consumer);
}

void ForwardPass::PlaceRows(absl::Span<const StepItem> batch) {
  scratch_.rows.clear();
  scratch_.wanted.clear();
  scratch_.groups.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    const StepItem& item = batch[i];
    const size_t count = item.tokens.size();
    for (size_t t = 0; t < count; ++t) {
      const bool wanted =
          (item.rows == WantedRows::kAll && t >= item.rows_from) ||
          (item.rows == WantedRows::kLast && t + 1 == count);
      if (wanted) {
        const size_t row =
            item.rows == WantedRows::kAll ? t - item.rows_from : 0;
        scratch_.wanted.push_back(
            {.pass_row = static_cast<int64_t>(scratch_.rows.size()),
             .item = i,
             .row = row});
      }
      scratch_.rows.push_back(
          {.sequence = item.sequence,
           .position = item.position + static_cast<Position>(t),
           .token = item.tokens[t]});
    }
    PlaceGroups(static_cast<int64_t>(scratch_.rows.size() - count),
                static_cast<int64_t>(count));
    state_.kv().Extend(item.sequence, item.position, item.tokens);
  }
  rows_ = static_cast<int64_t>(scratch_.rows.size());
  TANDEM_CHECK(rows_ <= state_.options().rows_max);
}

void ForwardPass::PlaceGroups(int64_t begin, int64_t count) {
  const int64_t rows =
      scratch_.group_queries / (config_.heads / config_.kv_heads);
  for (int64_t at = 0; at < count; at += rows) {
    scratch_.groups.push_back(
        {.begin = begin + at, .count = std::min(rows, count - at)});
  }
}

void ForwardPass::Embed() {
  const int64_t width = config_.width;
  Split(rows_, rows_ * width, [&](int, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* out = scratch_.residual.data() + row * width;
      weights_.EmbeddingRow(scratch_.rows[row].token, out);
      if (config_.embedding_scale != 1) {
        kernels_.scale(out, width, config_.embedding_scale);
      }
    }
  });
}

void ForwardPass::AddAttention(const LayerWeights& layer, int64_t index) {
  Norm(layer.attention_norm);
  state_.multiplier().Multiply(scratch_.normed.data(), rows_,
                               {{&layer.query, scratch_.query.data()},
                                {&layer.key, scratch_.key.data()},
                                {&layer.value, scratch_.value.data()}});
  RotateAndStore(layer, index);
  AttentionPass(config_, &state_).Run(index);
  state_.multiplier().Multiply(
      scratch_.attended.data(), rows_,
      {{&layer.attention_output, scratch_.delta.data()}});
  AddDelta(layer.post_attention_norm);
}

void ForwardPass::AddFeedForward(const LayerWeights& layer) {
  const int64_t ffn = config_.feed_forward_width;
  Norm(layer.feed_forward_norm);
  state_.multiplier().Multiply(
      scratch_.normed.data(), rows_,
      {{&layer.gate, scratch_.gate.data()}, {&layer.up, scratch_.up.data()}});
  float* gate = scratch_.gate.data();
  const float* up = scratch_.up.data();
  const auto activate = config_.features.activation == Activation::kSilu
                            ? kernels_.silu_multiply
                            : kernels_.gelu_multiply;
  Split(rows_ * ffn, rows_ * ffn, [&](int, int64_t begin, int64_t end) {
    activate(gate + begin, up + begin, end - begin, gate + begin);
  });
  state_.multiplier().Multiply(gate, rows_,
                               {{&layer.down, scratch_.delta.data()}});
  AddDelta(layer.post_feed_forward_norm);
}

void ForwardPass::RunHead(RowConsumer* consumer) {
  const absl::Span<const WantedRow> wanted = scratch_.wanted;
  if (wanted.empty()) return;
  TANDEM_CHECK(consumer != nullptr);
  const int64_t width = config_.width;
  const int64_t vocab = config_.vocab_size;
  for (size_t begin = 0; begin < wanted.size(); begin += kHeadTileRows) {
    const absl::Span<const WantedRow> tile =
        wanted.subspan(begin, kHeadTileRows);
    for (size_t i = 0; i < tile.size(); ++i) {
      kernels_.rms_norm(scratch_.residual.data() + tile[i].pass_row * width,
                        weights_.output_norm().data(), width,
                        config_.norm_epsilon,
                        scratch_.normed.data() + i * width);
    }
    const auto rows = static_cast<int64_t>(tile.size());
    state_.multiplier().Multiply(scratch_.normed.data(), rows,
                                 {{&weights_.head(), scratch_.logits.data()}});
    FinishLogits(rows);
    for (size_t i = 0; i < tile.size(); ++i) {
      consumer->OnRow(
          tile[i].item, tile[i].row,
          {scratch_.logits.data() + i * vocab, static_cast<size_t>(vocab)});
    }
  }
}

void ForwardPass::Norm(const AlignedBuffer<float>& weight) {
  const int64_t width = config_.width;
  Split(rows_, rows_ * width, [&](int, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      kernels_.rms_norm(scratch_.residual.data() + row * width, weight.data(),
                        width, config_.norm_epsilon,
                        scratch_.normed.data() + row * width);
    }
  });
}

void ForwardPass::RotateAndStore(const LayerWeights& weights, int64_t layer) {
  const int64_t head_dim = config_.head_dim;
  const int64_t kv_width = config_.kv_width();
  const KvType type = state_.options().kv_type;
  const RopeTable& rope = state_.rope(layer);
  const int64_t touched = config_.query_width() + 2 * kv_width;
  Split(rows_, rows_ * touched, [&](int, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const PassRow& place = scratch_.rows[row];
      const float* cos_sin = rope.At(place.position);
      float* query = scratch_.query.data() + row * config_.query_width();
      float* key = scratch_.key.data() + row * kv_width;
      float* value = scratch_.value.data() + row * kv_width;
      FinishHeads(query, config_.heads, weights.query_bias, weights.query_norm,
                  cos_sin);
      FinishHeads(key, config_.kv_heads, weights.key_bias, weights.key_norm,
                  cos_sin);
      if (weights.value_bias.size() != 0) {
        kernels_.add_in_place(value, weights.value_bias.data(), kv_width);
      }
      for (int64_t head = 0; head < config_.kv_heads; ++head) {
        const KvCache::Slot slot =
            state_.kv().At(place.sequence, layer, head, place.position);
        StoreKey(kernels_, type, key + head * head_dim, head_dim,
                 slot.position_in_block, slot.block_keys);
        StoreValue(kernels_, type, value + head * head_dim, head_dim,
                   slot.value);
      }
    }
  });
}

void ForwardPass::FinishHeads(float* x, int64_t heads,
                              const AlignedBuffer<float>& bias,
                              const AlignedBuffer<float>& norm,
                              const float* cos_sin) const {
  const int64_t head_dim = config_.head_dim;
  if (bias.size() != 0) kernels_.add_in_place(x, bias.data(), heads * head_dim);
  if (norm.size() != 0) {
    for (float* head = x; head < x + heads * head_dim; head += head_dim) {
      kernels_.rms_norm(head, norm.data(), head_dim, config_.norm_epsilon,
                        head);
    }
  }
  const auto rotate = config_.rope.pairs == RopePairs::kInterleaved
                          ? kernels_.rope_interleaved
                          : kernels_.rope_half_split;
  rotate(x, heads, head_dim, cos_sin, config_.rope.dims);
}

void ForwardPass::AddDelta(const AlignedBuffer<float>& norm) {
  const int64_t width = config_.width;
  Split(rows_, rows_ * width, [&](int, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* delta = scratch_.delta.data() + row * width;
      if (norm.size() != 0) {
        kernels_.rms_norm(delta, norm.data(), width, config_.norm_epsilon,
                          delta);
      }
      if (config_.residual_scale != 1) {
        kernels_.scale(delta, width, config_.residual_scale);
      }
      kernels_.add_in_place(scratch_.residual.data() + row * width, delta,
                            width);
    }
  });
}

void ForwardPass::FinishLogits(int64_t rows) {
  if (config_.logit_scale == 1 && config_.logit_soft_cap == 0) return;
  const int64_t count = rows * config_.vocab_size;
  Split(count, count, [&](int, int64_t begin, int64_t end) {
    float* logits = scratch_.logits.data() + begin;
    if (config_.logit_scale != 1) {
      kernels_.scale(logits, end - begin, config_.logit_scale);
    }
    if (config_.logit_soft_cap != 0) {
      kernels_.soft_cap(logits, end - begin, config_.logit_soft_cap);
    }
  });
}

template <typename Body>
void ForwardPass::Split(int64_t count, int64_t elements, const Body& body) {
  const int64_t members = state_.team().size();
  if (elements <= kInlineElements || members == 1) {
    body(0, 0, count);
    return;
  }
  const int64_t chunks = std::min<int64_t>(
      {count, members * kChunksAMember,
       std::max(members, elements / kInlineElements), ThreadTeam::kChunksMax});
  state_.team().Run(static_cast<int>(chunks), [&](int member, int chunk) {
    body(member, count * chunk / chunks, count * (chunk + 1) / chunks);
  });
}

}  // namespace tandem
