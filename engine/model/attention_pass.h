// Attention of all rows of one pass in one layer. Made for one Step on the
// compute thread that owns `state`; allocates nothing.
//
// A unit of work is a row group with one KV head: the queries of all heads of
// that KV head and of all rows of the group go through the blocks together.
// Where there are few rows and long contexts, a unit is one span of those, so
// that more threads than KV heads have work. Either way a query's blocks and
// spans come in ascending order, and what it gathers has the same bits.

#ifndef TANDEM_ENGINE_MODEL_ATTENTION_PASS_H_
#define TANDEM_ENGINE_MODEL_ATTENTION_PASS_H_

#include <cstdint>

#include "engine/kernels/attention.h"
#include "engine/model/config.h"
#include "engine/model/model_state.h"

namespace tandem {

class AttentionPass {
 public:
  // Both outlive the pass; the state's rows are placed.
  AttentionPass(const ModelConfig& config, ModelState* state);

  // attended = attention of every row's query over the keys and values that
  // are stored in `layer`, its own among them.
  void Run(int64_t layer);

 private:
  // One row group and KV head in one layer.
  struct Unit {
    int64_t layer = 0;
    int64_t kv_head = 0;
    RowGroup group;
  };

  // Positions that a row sees: begin .. end - 1.
  struct Range {
    int64_t begin = 0;
    int64_t end = 0;

    friend bool operator==(const Range&, const Range&) = default;
  };

  Unit UnitAt(int64_t layer, int64_t index) const;
  // Causal: up to the row's own position; a window leaves out what is too far
  // back. Either bound depends on the position alone.
  Range Seen(int64_t layer, int64_t row) const;
  // The spans that a row, or any row of a group, sees a part of.
  Range SpansSeen(int64_t layer, int64_t row) const;
  Range SpansSeen(const Unit& unit) const;
  int64_t heads_per_kv_head() const { return config_.heads / config_.kv_heads; }

  // All spans of a unit, merged and finished.
  void RunUnit(const Unit& unit, int member);
  // One span of a unit, left in span_queries.
  void RunSpan(const Unit& unit, int64_t span);
  // Merges and finishes the spans of a row and head.
  void JoinSpans(int64_t layer, int64_t row, int64_t head, int member);
  // attended[offset ..] = what a query that has seen all gives.
  void Finish(const AttentionQuery& query, int64_t offset);
  // Two sets of a group's queries, for one member.
  AttentionQuery* MemberQueries(int member) const {
    return scratch_.member_queries.data() + member * 2 * scratch_.group_queries;
  }
  // The queries of one row, one KV head and one span, among all that are kept.
  AttentionQuery* SpanQueries(int64_t span, int64_t kv_head, int64_t row) const;

  // Calls body(member, index) for each index below `count`, on the team or, for
  // one member, on this thread.
  template <typename Body>
  void ShareOut(int64_t count, int64_t members, const Body& body);

  // Query of head number `head` of the KV head of row number `row` of the
  // group, of the array that stands at `queries`.
  AttentionQuery* QueryOf(AttentionQuery* queries, int64_t row,
                          int64_t head) const {
    return queries + row * heads_per_kv_head() + head;
  }
  // Where a row's query of `head` begins, in scratch of [rows, query_width].
  int64_t OffsetOf(int64_t row, int64_t head) const {
    return row * config_.query_width() + head * config_.head_dim;
  }
  // The group's queries, none of which has seen anything, at `queries`.
  void Begin(const Unit& unit, AttentionQuery* queries) const;
  // The group's queries see what lies in span number `span`.
  void Attend(const Unit& unit, int64_t span, AttentionQuery* queries) const;

  const ModelConfig& config_;
  ModelState& state_;
  Activations& scratch_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_ATTENTION_PASS_H_
