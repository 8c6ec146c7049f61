#include "engine/grammar/automaton/grammar_parser.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "engine/base/check.h"

namespace tandem {
namespace {

// Rounds that are not known: every bound allows them.
constexpr uint32_t kAnyRounds = UINT32_MAX;

bool IsAnyFrame(FrameId frame) { return (frame & kAnyFrameBit) != 0; }

}  // namespace

GrammarParser::GrammarParser(const Grammar* grammar) : grammar_(grammar) {
  frames_.resize(kSpecialFrames);
  // kNoSet, from which no byte leads on.
  sets_.emplace_back().next.assign(grammar->classes, kNoSet);
}

SetId GrammarParser::Start() {
  Push({.state = grammar_->rules[grammar_->root].start, .frame = kRootFrame});
  return Close();
}

SetId GrammarParser::StartAt(const ParseItem& item) {
  ParseSet set;
  set.items.push_back(item);
  return AddSet(std::move(set));
}

SetId GrammarParser::ComputeStep(SetId id, uint8_t byte) {
  for (const ParseItem& item : sets_[id].items) {
    for (const ByteEdge& edge :
         grammar_->BytesOf(grammar_->states[item.state])) {
      if (edge.first <= byte && byte <= edge.last) {
        Push(
            {.state = edge.target, .rounds = item.rounds, .frame = item.frame});
      }
    }
  }
  const SetId next = Close();
  sets_[id].next[grammar_->class_of[byte]] = next;
  return next;
}

SetId GrammarParser::After(FrameId id) {
  if (frames_[id].after == kNotComputed) {
    for (const ParseItem& caller : frames_[id].callers) Push(caller);
    if (id == kRootFrame) closing_.may_end = true;
    frames_[id].after = Close();
  }
  return frames_[id].after;
}

SetId GrammarParser::AfterAny(RuleId rule) {
  const auto known = after_any_.find(rule);
  if (known != after_any_.end()) return known->second;
  Leave({.rounds = kAnyRounds, .frame = AnyFrame(rule)});
  return after_any_[rule] = Close();
}

void GrammarParser::Push(const ParseItem& item) {
  if (seen_.size() >= kParseItemsMax || ++work_ > kParseWorkMax) {
    closing_.over_limit = true;
    return;
  }
  if (seen_.insert(item).second) pending_.push_back(item);
}

SetId GrammarParser::Close() {
  while (!pending_.empty() || !calls_.empty()) {
    if (!pending_.empty()) {
      const ParseItem item = pending_.back();
      pending_.pop_back();
      Visit(item);
      continue;
    }
    // All callers of the rule of least rank are known by now.
    const auto first = calls_.begin();
    const auto [rank, rule, bounds] = first->first;
    ParseFrame frame{
        .rule = rule, .bounds = bounds, .callers = std::move(first->second)};
    calls_.erase(first);
    const FrameId id = AddFrame(std::move(frame));
    if (frames_[id].depth > kParseDepthMax) {
      closing_.over_limit = true;
    } else {
      Push({.state = grammar_->rules[rule].start, .frame = id});
    }
  }
  seen_.clear();
  work_ = 0;
  ParseSet set = std::exchange(closing_, {});
  if (set.items.empty() && set.left_after.empty() && !set.may_end &&
      !set.over_limit) {
    return kNoSet;
  }
  std::sort(set.items.begin(), set.items.end());
  std::sort(set.left_after.begin(), set.left_after.end());
  return AddSet(std::move(set));
}

void GrammarParser::Visit(const ParseItem& item) {
  const GrammarState& state = grammar_->states[item.state];
  if (state.bytes_begin != state.bytes_end) closing_.items.push_back(item);
  for (const StateId target : grammar_->JumpsOf(state)) {
    Push({.state = target, .rounds = item.rounds, .frame = item.frame});
  }
  if (state.iterate != kNoState && MayIterate(item)) Push(NextRound(item));
  for (const CallEdge& call : grammar_->CallsOf(state)) VisitCall(item, call);
  if (state.accepts && MayLeave(item)) Leave(item);
}

void GrammarParser::VisitCall(const ParseItem& item, const CallEdge& call) {
  const GrammarRule& rule = grammar_->rules[call.rule];
  const ParseItem caller{
      .state = call.next, .rounds = item.rounds, .frame = item.frame};
  // Here and not when it is left: calls after it are then known in time.
  if (rule.is_counted ? call.bounds.least == 0 : rule.is_nullable) {
    Push(caller);
  }
  std::vector<ParseItem>& callers = calls_[{rule.rank, call.rule, call.bounds}];
  if (!grammar_->states[call.next].only_ends || item.frame < kSpecialFrames ||
      IsAnyFrame(item.frame)) {
    callers.push_back(caller);
    return;
  }
  // The caller would only end: its own callers stand for it, so that lists
  // that are written by recursion at the end take no depth.
  const std::vector<ParseItem>& own = frames_[item.frame].callers;
  work_ += own.size();
  if (work_ <= kParseWorkMax) {
    callers.insert(callers.end(), own.begin(), own.end());
  } else {
    closing_.over_limit = true;
  }
}

void GrammarParser::Leave(const ParseItem& item) {
  if (item.frame == kRootFrame) {
    closing_.may_end = true;
  } else if (item.frame == kOpenFrame) {
    closing_.left_after.push_back(item.rounds);
  } else if (IsAnyFrame(item.frame)) {
    const RuleId left = item.frame & ~kAnyFrameBit;
    if (left == grammar_->root) closing_.may_end = true;
    for (const StateId next : grammar_->rules[left].returns) {
      const RuleId rule = grammar_->states[next].rule;
      Push({.state = next, .rounds = kAnyRounds, .frame = AnyFrame(rule)});
    }
  } else {
    for (const ParseItem& caller : frames_[item.frame].callers) Push(caller);
  }
}

bool GrammarParser::MayIterate(const ParseItem& item) const {
  if (item.frame == kOpenFrame || item.rounds == kAnyRounds) return true;
  const Bounds& bounds = frames_[item.frame].bounds;
  return bounds.most == kUnbounded || item.rounds < bounds.most;
}

bool GrammarParser::MayLeave(const ParseItem& item) const {
  if (item.frame < kSpecialFrames || item.rounds == kAnyRounds) return true;
  return IsAnyFrame(item.frame) ||
         item.rounds >= frames_[item.frame].bounds.least;
}

ParseItem GrammarParser::NextRound(const ParseItem& item) const {
  ParseItem next = item;
  next.state = grammar_->states[item.state].iterate;
  if (item.rounds == kAnyRounds) return next;
  ++next.rounds;
  if (item.frame != kOpenFrame) {
    const Bounds& bounds = frames_[item.frame].bounds;
    if (bounds.most == kUnbounded) {
      next.rounds = std::min(next.rounds, bounds.least);
    }
  }
  return next;
}

SetId GrammarParser::AddSet(ParseSet set) {
  const bool flags[] = {set.may_end, set.over_limit};
  const SetKey key{set.items, set.left_after, flags[0]};
  if (const auto known = set_ids_.find(key);
      known != set_ids_.end() && !flags[1]) {
    return known->second;
  }
  bytes_ += sizeof(ParseSet) + set.items.size() * sizeof(ParseItem) +
            grammar_->classes * sizeof(SetId);
  set.next.assign(grammar_->classes, kNotComputed);
  const auto id = static_cast<SetId>(sets_.size());
  const bool is_shared = !set.over_limit;
  sets_.push_back(std::move(set));
  const ParseSet& stored = sets_.back();
  if (is_shared) {
    set_ids_.emplace(SetKey{stored.items, stored.left_after, stored.may_end},
                     id);
  }
  return id;
}

FrameId GrammarParser::AddFrame(ParseFrame frame) {
  std::sort(frame.callers.begin(), frame.callers.end());
  frame.callers.erase(std::unique(frame.callers.begin(), frame.callers.end()),
                      frame.callers.end());
  const auto key_of = [](const ParseFrame& f) {
    return FrameKey{f.rule, f.bounds.least, f.bounds.most, f.callers};
  };
  const auto known = frame_ids_.find(key_of(frame));
  if (known != frame_ids_.end()) return known->second;
  uint32_t depth = std::numeric_limits<uint32_t>::max();
  uint32_t open_rounds = std::numeric_limits<uint32_t>::max();
  for (const ParseItem& caller : frame.callers) {
    const bool is_special =
        caller.frame < kSpecialFrames || IsAnyFrame(caller.frame);
    depth = std::min(depth, is_special ? 0 : frames_[caller.frame].depth);
    if (caller.frame == kOpenFrame) {
      open_rounds = std::min(open_rounds, caller.rounds);
    } else if (!is_special) {
      open_rounds = std::min(open_rounds, frames_[caller.frame].open_rounds);
    }
  }
  frame.depth = depth + 1;
  frame.open_rounds = open_rounds;
  bytes_ += sizeof(ParseFrame) + frame.callers.size() * sizeof(ParseItem);
  const auto id = static_cast<FrameId>(frames_.size());
  TANDEM_CHECK(id < kAnyFrameBit);
  frames_.push_back(std::move(frame));
  frame_ids_.emplace(key_of(frames_.back()), id);
  return id;
}

SetId GrammarParser::CopySet(const GrammarParser& other, SetId id) {
  // Callers have smaller ids than the frames that they called.
  std::set<FrameId> wanted;
  std::vector<FrameId> found;
  const auto want = [&](FrameId frame) {
    if (frame < kSpecialFrames || IsAnyFrame(frame)) return;
    if (wanted.insert(frame).second) found.push_back(frame);
  };
  ParseSet copy = other.sets_[id];
  for (const ParseItem& item : copy.items) want(item.frame);
  while (!found.empty()) {
    const FrameId frame = found.back();
    found.pop_back();
    for (const ParseItem& caller : other.frames_[frame].callers) {
      want(caller.frame);
    }
  }
  absl::flat_hash_map<FrameId, FrameId> ids;
  const auto translate = [&ids](std::vector<ParseItem>* items) {
    for (ParseItem& item : *items) {
      const auto known = ids.find(item.frame);
      if (known != ids.end()) item.frame = known->second;
    }
    std::sort(items->begin(), items->end());
  };
  for (const FrameId frame : wanted) {
    ParseFrame copied = other.frames_[frame];
    copied.after = kNotComputed;
    translate(&copied.callers);
    ids[frame] = AddFrame(std::move(copied));
  }
  translate(&copy.items);
  return id == kNoSet ? kNoSet : AddSet(std::move(copy));
}

}  // namespace tandem
