#include "engine/model/attention_pass.h"

#include <algorithm>

namespace tandem {
namespace {

// Units of work for each team member, from which on the spans of a row are not
// shared out.
constexpr int64_t kUnitsAMember = 4;
// Below these multiply-adds the calling thread does it alone.
constexpr int64_t kInlineMultiplyAdds = 1 << 13;

}  // namespace

AttentionPass::AttentionPass(const ModelConfig& config, ModelState* state)
    : config_(config), state_(*state), scratch_(state->activations()) {}

void AttentionPass::Run(int64_t layer) {
  const int64_t rows = static_cast<int64_t>(scratch_.rows.size());
  const int64_t groups = static_cast<int64_t>(scratch_.groups.size());
  const int64_t units = groups * config_.kv_heads;
  int64_t seen = 0;
  Range spans = SpansSeen(layer, 0);
  for (int64_t row = 0; row < rows; ++row) {
    const Range range = Seen(layer, row);
    seen += range.end - range.begin;
    const Range own = SpansSeen(layer, row);
    spans.begin = std::min(spans.begin, own.begin);
    spans.end = std::max(spans.end, own.end);
  }
  const int64_t multiply_adds = 2 * seen * config_.query_width();
  const int64_t members =
      multiply_adds < kInlineMultiplyAdds ? 1 : int64_t{state_.team().size()};
  const int64_t count = spans.end - spans.begin;
  if (members > 1 && count > 1 && rows <= kSpanRowsMax &&
      units < members * kUnitsAMember) {
    ShareOut(units * count, members, [&](int, int64_t index) {
      RunSpan(UnitAt(layer, index / count), spans.begin + index % count);
    });
    ShareOut(rows * config_.heads, members, [&](int member, int64_t index) {
      JoinSpans(layer, index / config_.heads, index % config_.heads, member);
    });
    return;
  }
  ShareOut(units, members, [&](int member, int64_t index) {
    RunUnit(UnitAt(layer, index), member);
  });
}

AttentionPass::Range AttentionPass::Seen(int64_t layer, int64_t row) const {
  const Position position = scratch_.rows[row].position;
  return {.begin = config_.FirstSeen(layer, position), .end = position + 1};
}

AttentionPass::Range AttentionPass::SpansSeen(int64_t layer,
                                              int64_t row) const {
  const Range seen = Seen(layer, row);
  return {.begin = seen.begin / kAttentionSpanTokens,
          .end = (seen.end - 1) / kAttentionSpanTokens + 1};
}

// Positions of a group ascend, and so do the first and the last that they see.
AttentionPass::Range AttentionPass::SpansSeen(const Unit& unit) const {
  const RowGroup& group = unit.group;
  return {.begin = SpansSeen(unit.layer, group.begin).begin,
          .end = SpansSeen(unit.layer, group.begin + group.count - 1).end};
}

// Groups next to each other in the order: chunks of a long prompt then have
// the same mix of short and long rows.
AttentionPass::Unit AttentionPass::UnitAt(int64_t layer, int64_t index) const {
  const int64_t groups = static_cast<int64_t>(scratch_.groups.size());
  return {.layer = layer,
          .kv_head = index / groups,
          .group = scratch_.groups[index % groups]};
}

void AttentionPass::RunUnit(const Unit& unit, int member) {
  const int64_t head_dim = config_.head_dim;
  AttentionQuery* total = MemberQueries(member);
  AttentionQuery* next = total + scratch_.group_queries;
  Begin(unit, total);
  const Range spans = SpansSeen(unit);
  for (int64_t span = spans.begin; span < spans.end; ++span) {
    Begin(unit, next);
    Attend(unit, span, next);
    for (int64_t row = 0; row < unit.group.count; ++row) {
      const Range own = SpansSeen(unit.layer, unit.group.begin + row);
      if (span < own.begin || span >= own.end) continue;
      for (int64_t head = 0; head < heads_per_kv_head(); ++head) {
        MergeAttention(state_.kernels(), *QueryOf(next, row, head), head_dim,
                       QueryOf(total, row, head));
      }
    }
  }
  for (int64_t row = 0; row < unit.group.count; ++row) {
    for (int64_t head = 0; head < heads_per_kv_head(); ++head) {
      const int64_t offset = OffsetOf(
          unit.group.begin + row, unit.kv_head * heads_per_kv_head() + head);
      Finish(*QueryOf(total, row, head), offset);
    }
  }
}

void AttentionPass::RunSpan(const Unit& unit, int64_t span) {
  const Range spans = SpansSeen(unit);
  if (span < spans.begin || span >= spans.end) return;
  AttentionQuery* queries = SpanQueries(span, unit.kv_head, unit.group.begin);
  // Their memory is taken here, by the spans that are reached.
  float* values = scratch_.span_values.data() +
                  (queries - scratch_.span_queries.data()) * config_.head_dim;
  for (int64_t i = 0; i < unit.group.count * heads_per_kv_head(); ++i) {
    queries[i].values = values + i * config_.head_dim;
  }
  Begin(unit, queries);
  Attend(unit, span, queries);
}

void AttentionPass::JoinSpans(int64_t layer, int64_t row, int64_t head,
                              int member) {
  const int64_t kv_head = head / heads_per_kv_head();
  const int64_t head_in_group = head % heads_per_kv_head();
  AttentionQuery* total = MemberQueries(member);
  BeginAttention(config_.head_dim, total);
  const Range spans = SpansSeen(layer, row);
  for (int64_t span = spans.begin; span < spans.end; ++span) {
    MergeAttention(state_.kernels(),
                   SpanQueries(span, kv_head, row)[head_in_group],
                   config_.head_dim, total);
  }
  Finish(*total, OffsetOf(row, head));
}

void AttentionPass::Finish(const AttentionQuery& query, int64_t offset) {
  state_.kernels().divide(query.values, query.sum, config_.head_dim,
                          scratch_.attended.data() + offset);
}

AttentionQuery* AttentionPass::SpanQueries(int64_t span, int64_t kv_head,
                                           int64_t row) const {
  const int64_t place =
      (span * config_.kv_heads + kv_head) * kSpanRowsMax + row;
  return scratch_.span_queries.data() + place * heads_per_kv_head();
}

void AttentionPass::Begin(const Unit& unit, AttentionQuery* queries) const {
  for (int64_t row = 0; row < unit.group.count; ++row) {
    for (int64_t head = 0; head < heads_per_kv_head(); ++head) {
      AttentionQuery* query = QueryOf(queries, row, head);
      query->query = scratch_.query.data() +
                     OffsetOf(unit.group.begin + row,
                              unit.kv_head * heads_per_kv_head() + head);
      BeginAttention(config_.head_dim, query);
    }
  }
}

void AttentionPass::Attend(const Unit& unit, int64_t span,
                           AttentionQuery* queries) const {
  const RowGroup& group = unit.group;
  const int64_t first = Seen(unit.layer, group.begin).begin;
  const int64_t begin = std::max(first / kKvPageTokens * kKvPageTokens,
                                 span * kAttentionSpanTokens);
  const int64_t end =
      std::min((span + 1) * kAttentionSpanTokens,
               Seen(unit.layer, group.begin + group.count - 1).end);
  const auto block_at = [&](int64_t position) {
    return state_.kv().BlockAt(scratch_.rows[group.begin].sequence, unit.layer,
                               unit.kv_head, position / kKvPageTokens);
  };
  KvCache::Block ahead = block_at(begin);
  for (int64_t at = begin; at < end; at += kKvPageTokens) {
    const KvCache::Block block = ahead;
    if (at + kKvPageTokens < end) ahead = block_at(at + kKvPageTokens);
    const auto seen_of = [&](int64_t row) {
      const Range seen = Seen(unit.layer, group.begin + row);
      return Range{.begin = std::max(seen.begin - at, int64_t{0}),
                   .end = std::min<int64_t>(seen.end - at, kKvPageTokens)};
    };
    // Rows that see the same part of the block go together.
    for (int64_t row = 0; row < group.count;) {
      const Range seen = seen_of(row);
      int64_t next = row + 1;
      while (next < group.count && seen_of(next) == seen) ++next;
      if (seen.begin < seen.end) {
        AttendBlock(state_.kernels(), state_.options().kv_type,
                    {.keys = block.keys,
                     .values = block.values,
                     .next_keys = ahead.keys,
                     .next_values = ahead.values,
                     .begin = seen.begin,
                     .end = seen.end,
                     .head_dim = config_.head_dim,
                     .scale = config_.attention_scale,
                     .soft_cap = config_.attention_soft_cap,
                     .queries = QueryOf(queries, row, 0),
                     .query_count = (next - row) * heads_per_kv_head()});
      }
      row = next;
    }
  }
}

template <typename Body>
void AttentionPass::ShareOut(int64_t count, int64_t members, const Body& body) {
  if (members == 1) {
    for (int64_t index = 0; index < count; ++index) body(0, index);
    return;
  }
  const int64_t chunks = std::min<int64_t>(count, ThreadTeam::kChunksMax);
  state_.team().Run(static_cast<int>(chunks), [&](int member, int chunk) {
    const int64_t end = count * (chunk + 1) / chunks;
    for (int64_t index = count * chunk / chunks; index < end; ++index) {
      body(member, index);
    }
  });
}

}  // namespace tandem
