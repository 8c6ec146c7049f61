// All ways at once in which bytes can be read by a grammar. One thread at a
// time; the grammar outlives it.
//
// A way is an Item: a state, how often a counted rule has been gone through,
// and the frame of the rule: who called it. A frame holds all callers of one
// rule at one place (a graph-structured stack), so that what is ambiguous does
// not multiply. A ParseSet is a set of items after some bytes. Equal frames and
// sets are made once, and a step from a set by a byte is computed once: where a
// text repeats itself, reading it is a table look-up per byte. Sets are
// immutable: going back is to use an earlier id.
//
// What a token may be depends on little of the callers. To compute that once
// for a state, a parse may begin in a frame whose callers are not known:
// kOpenFrame reports that its rule is left and ends there; AnyFrame(rule)
// returns to every place that calls the rule, however it came there.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_PARSER_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_PARSER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "engine/grammar/automaton/grammar.h"

namespace tandem {

using FrameId = uint32_t;
using SetId = uint32_t;

inline constexpr FrameId kRootFrame = 0;  // the whole text; leaving it ends it
inline constexpr FrameId kOpenFrame = 1;
inline constexpr FrameId kAnyFrameBit = uint32_t{1} << 31;
// The frame of `rule` whose callers are all that there are.
inline constexpr FrameId AnyFrame(RuleId rule) { return kAnyFrameBit | rule; }

inline constexpr SetId kNoSet = 0;  // the bytes can not be read
// A state for each of a schema's optional properties, and some.
inline constexpr size_t kParseItemsMax = 4096;
// Items and callers looked at for one byte, which takes up to about 3 ms.
inline constexpr size_t kParseWorkMax = 1 << 16;
// Rules within rules of a text.
inline constexpr uint32_t kParseDepthMax = 10'000;

struct ParseItem {
  StateId state = 0;
  uint32_t rounds = 0;  // of a counted rule, at most bounds.least if unbounded
  FrameId frame = 0;

  friend auto operator<=>(const ParseItem&, const ParseItem&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ParseItem& item) {
    return H::combine(std::move(h), item.state, item.rounds, item.frame);
  }
};

struct ParseSet {
  std::vector<ParseItem> items;  // ascending; each can read some byte
  // kOpenFrame was left, after this many rounds each; ascending.
  std::vector<uint32_t> left_after;
  bool may_end = false;  // kRootFrame was left
  // The grammar's limit, not the text, cut ways off.
  bool over_limit = false;
  std::vector<SetId> next;  // [classes], kNotComputed where not known
};

struct ParseFrame {
  RuleId rule = 0;
  Bounds bounds = {};
  uint32_t depth = 0;
  uint32_t open_rounds = 0;  // the fewest rounds of kOpenFrame below it
  std::vector<ParseItem> callers = {};  // ascending; they go on in `state`
  SetId after = UINT32_MAX;  // all of them, once the rule is left; see After
};

class GrammarParser {
 public:
  explicit GrammarParser(const Grammar* grammar);

  GrammarParser(const GrammarParser&) = delete;
  GrammarParser& operator=(const GrammarParser&) = delete;

  const Grammar& grammar() const { return *grammar_; }

  // Before the first byte of a text.
  SetId Start();
  // The set of this one item, which reads a byte.
  SetId StartAt(const ParseItem& item);
  // After `byte`; kNoSet where nothing reads it.
  SetId Step(SetId set, uint8_t byte) {
    const SetId known = sets_[set].next[grammar_->class_of[byte]];
    return known != kNotComputed ? known : ComputeStep(set, byte);
  }
  // Where the callers of a frame go on once its rule is left; for kRootFrame
  // nothing but the end.
  SetId After(FrameId frame);
  // Where callers of `rule` may go on once it is left, however it was called.
  SetId AfterAny(RuleId rule);

  const ParseSet& set(SetId id) const { return sets_[id]; }
  // Not of the special frames.
  const ParseFrame& frame(FrameId id) const { return frames_[id]; }

  // Memory that sets and frames take, about.
  size_t bytes() const { return bytes_; }

  // A copy of a set of `other`, which has the same grammar, with its frames.
  SetId CopySet(const GrammarParser& other, SetId id);

 private:
  static constexpr SetId kNotComputed = UINT32_MAX;
  static constexpr FrameId kSpecialFrames = 2;

  // Calls that wait until all callers of a rule at this place are known: by
  // rank, rule and bounds.
  using CallKey = std::tuple<uint32_t, RuleId, Bounds>;
  using SetKey =
      std::tuple<absl::Span<const ParseItem>, absl::Span<const uint32_t>, bool>;
  using FrameKey =
      std::tuple<RuleId, uint32_t, uint32_t, absl::Span<const ParseItem>>;

  SetId ComputeStep(SetId set, uint8_t byte);
  // The set of all that pending_ leads to without a byte.
  SetId Close();
  void Push(const ParseItem& item);
  void Visit(const ParseItem& item);
  void VisitCall(const ParseItem& item, const CallEdge& call);
  void Leave(const ParseItem& item);
  // Whether the rounds allow one more, or the end.
  bool MayIterate(const ParseItem& item) const;
  bool MayLeave(const ParseItem& item) const;
  ParseItem NextRound(const ParseItem& item) const;
  SetId AddSet(ParseSet set);
  FrameId AddFrame(ParseFrame frame);

  const Grammar* grammar_;
  size_t bytes_ = 0;
  std::deque<ParseSet> sets_;
  std::deque<ParseFrame> frames_;
  absl::flat_hash_map<SetKey, SetId> set_ids_;
  absl::flat_hash_map<FrameKey, FrameId> frame_ids_;
  absl::flat_hash_map<RuleId, SetId> after_any_;

  // Of the set that is being closed.
  std::vector<ParseItem> pending_;
  size_t work_ = 0;
  absl::flat_hash_set<ParseItem> seen_;
  std::map<CallKey, std::vector<ParseItem>> calls_;
  ParseSet closing_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_PARSER_H_
