#include "engine/model/attention_pass.h"

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

// Units of work for each team member, from which on the spans of a row are not
// shared out.
constexpr int64_t kUnitsAMember = 4;
// Below these multiply-adds the calling thread does it alone.
constexpr int64_t kInlineMultiplyAdds = 1 << 13;

int64_t SpansOf(int64_t tokens) {
  return (tokens + kAttentionSpanTokens - 1) / kAttentionSpanTokens;
}

}  // namespace

AttentionPass::AttentionPass(const ModelConfig& config, ModelState* state)
    : config_(config),
      state_(*state),
      scratch_(state->activations()),
      scale_(static_cast<float>(
          1.0 / std::sqrt(static_cast<double>(config.head_dim)))) {}

void AttentionPass::Run(int64_t layer) {
  const int64_t rows = static_cast<int64_t>(scratch_.rows.size());
  const int64_t groups = static_cast<int64_t>(scratch_.groups.size());
  const int64_t units = groups * config_.kv_heads;
  int64_t tokens = 0;
  int64_t tokens_max = 0;
  for (int64_t row = 0; row < rows; ++row) {
    tokens += Tokens(row);
    tokens_max = std::max(tokens_max, Tokens(row));
  }
  const int64_t multiply_adds = 2 * tokens * config_.query_width();
  const int64_t members =
      multiply_adds < kInlineMultiplyAdds ? 1 : int64_t{state_.team().size()};
  const int64_t spans = SpansOf(tokens_max);
  if (members > 1 && spans > 1 && rows <= kSpanRowsMax &&
      units < members * kUnitsAMember) {
    ShareOut(units * spans, members, [&](int, int64_t index) {
      RunSpan(UnitAt(layer, index / spans), index % spans);
    });
    ShareOut(rows * config_.heads, members, [&](int, int64_t index) {
      JoinSpans(index / config_.heads, index % config_.heads);
    });
    return;
  }
  ShareOut(units, members, [&](int member, int64_t index) {
    RunUnit(UnitAt(layer, index), member);
  });
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
  AttentionQuery* total =
      scratch_.member_queries.data() + member * 2 * scratch_.group_queries;
  AttentionQuery* next = total + scratch_.group_queries;
  const int64_t spans = SpansOf(LastTokens(unit.group));
  Begin(unit, total);
  Attend(unit, 0, total);
  for (int64_t span = 1; span < spans; ++span) {
    Begin(unit, next);
    Attend(unit, span, next);
    for (int64_t row = 0; row < unit.group.count; ++row) {
      if (SpansOf(Tokens(unit.group.begin + row)) <= span) continue;
      for (int64_t head = 0; head < heads_per_kv_head(); ++head) {
        MergeAttention(state_.level(), *QueryOf(next, row, head), head_dim,
                       QueryOf(total, row, head));
      }
    }
  }
  for (int64_t row = 0; row < unit.group.count; ++row) {
    for (int64_t head = 0; head < heads_per_kv_head(); ++head) {
      const int64_t offset = OffsetOf(
          unit.group.begin + row, unit.kv_head * heads_per_kv_head() + head);
      FinishAttention(state_.level(), *QueryOf(total, row, head), head_dim,
                      scratch_.attended.data() + offset);
    }
  }
}

void AttentionPass::RunSpan(const Unit& unit, int64_t span) {
  if (SpansOf(LastTokens(unit.group)) <= span) return;
  AttentionQuery* queries = SpanQueries(span, unit.kv_head, unit.group.begin);
  Begin(unit, queries);
  Attend(unit, span, queries);
}

void AttentionPass::JoinSpans(int64_t row, int64_t head) {
  const int64_t kv_head = head / heads_per_kv_head();
  const int64_t head_in_group = head % heads_per_kv_head();
  AttentionQuery* total = SpanQueries(0, kv_head, row) + head_in_group;
  const int64_t spans = SpansOf(Tokens(row));
  for (int64_t span = 1; span < spans; ++span) {
    MergeAttention(state_.level(),
                   SpanQueries(span, kv_head, row)[head_in_group],
                   config_.head_dim, total);
  }
  FinishAttention(state_.level(), *total, config_.head_dim,
                  scratch_.attended.data() + OffsetOf(row, head));
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
  const int64_t heads = heads_per_kv_head();
  const int64_t end =
      std::min<int64_t>((span + 1) * kAttentionSpanTokens, LastTokens(group));
  int64_t row = 0;  // the first that sees the whole block
  for (int64_t at = span * kAttentionSpanTokens; at < end;
       at += kKvPageTokens) {
    const KvCache::Block block =
        state_.kv().BlockAt(scratch_.rows[group.begin].sequence, unit.layer,
                            unit.kv_head, at / kKvPageTokens);
    AttentionCall call = {.keys = block.keys,
                          .values = block.values,
                          .begin = 0,
                          .head_dim = config_.head_dim,
                          .scale = scale_};
    // Rows that see a part of the block see different parts of it.
    for (; row < group.count; ++row) {
      const int64_t seen = Tokens(group.begin + row) - at;
      if (seen >= kKvPageTokens) break;
      if (seen <= 0) continue;
      call.end = seen;
      call.queries = QueryOf(queries, row, 0);
      call.query_count = heads;
      AttendBlock(state_.level(), state_.options().kv_type, call);
    }
    if (row == group.count) continue;
    call.end = kKvPageTokens;
    call.queries = QueryOf(queries, row, 0);
    call.query_count = (group.count - row) * heads;
    AttendBlock(state_.level(), state_.options().kv_type, call);
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
