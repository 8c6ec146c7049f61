#include "engine/grammar/automaton/automaton_builder.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// Repetitions up to this many states are written out; others are counted. A
// counted body keeps one set of masks for all of its rounds.
constexpr uint32_t kWrittenOutMax = 32;
// A rule up to this size that calls nothing is compiled in place, so that a
// token of several characters does not leave a rule at each of them.
constexpr uint32_t kInlineMax = 24;
// Levels of rules in rules that are compiled in place.
constexpr int kInlinePasses = 3;
constexpr uint32_t kSizeMax = 1 << 20;

uint32_t Saturate(uint64_t size) {
  return static_cast<uint32_t>(std::min<uint64_t>(size, kSizeMax));
}

}  // namespace

absl::StatusOr<Grammar> AutomatonBuilder::Build(RuleId root) {
  is_inline_.assign(source_->bodies_.size(), 0);
  rule_of_source_.assign(source_->bodies_.size(),
                         std::numeric_limits<RuleId>::max());
  for (int pass = 0; pass < kInlinePasses; ++pass) MeasureAll();
  const RuleId compiled_root = RuleOf(root);
  for (RuleId rule = 0; rule < rules_.size() && !too_many_states_; ++rule) {
    CompileRule(rule);
  }
  if (too_many_states_) {
    return InvalidGrammar(absl::StrCat("the grammar has more than ",
                                       kGrammarStatesMax, " states"));
  }
  const std::vector<uint8_t> ends = StatesThatEnd(true);
  if (!ends[rules_[compiled_root].start]) {
    return NothingMatches(compiled_root, ends);
  }
  Prune(ends);
  const std::vector<uint8_t> nullable = StatesThatEnd(false);
  for (const Rule& rule : rules_) {
    const StateId body = states_[rule.start].iterate;
    if (body != kNoState && nullable[body]) {
      return InvalidGrammar(absl::StrCat(
          "what a repetition of more than ", kWrittenOutMax,
          " states repeats may be empty; repeat something that is not"));
    }
  }
  Grammar grammar = Flatten(compiled_root, nullable);
  TANDEM_RETURN_IF_ERROR(RankRules(&grammar));
  return grammar;
}

AutomatonBuilder::Size AutomatonBuilder::Measure(const Expr& expr) const {
  uint64_t states = 1;
  // What matches nothing stays a rule of its own, which errors can name.
  bool has_calls = expr.kind == Expr::Kind::kNever ||
                   (expr.kind == Expr::Kind::kOneOf && expr.parts.empty()) ||
                   (expr.kind == Expr::Kind::kLiterals && expr.texts.empty());
  for (const std::string& text : expr.texts) states += text.size();
  for (const ExprId part : expr.parts) {
    states += sizes_[part].states;
    has_calls |= sizes_[part].has_calls;
  }
  for (const Expr::Edge& edge : expr.edges) {
    states += sizes_[edge.part].states;
    has_calls |= sizes_[edge.part].has_calls;
  }
  if (expr.kind == Expr::Kind::kRepeat) {
    const uint32_t times = expr.bounds.most == kUnbounded
                               ? expr.bounds.least + 1
                               : expr.bounds.most;
    states *= std::max<uint32_t>(times, 1);
  } else if (expr.kind == Expr::Kind::kChars) {
    for (const CharRange& range : expr.set.ranges()) {
      states += range.last < 0x80 ? 0 : 2;
    }
  } else if (expr.kind == Expr::Kind::kCall) {
    if (is_inline_[expr.rule]) {
      states += sizes_[source_->bodies_[expr.rule]].states;
    } else {
      has_calls = true;
    }
  }
  return {.states = Saturate(states), .has_calls = has_calls};
}

void AutomatonBuilder::MeasureAll() {
  sizes_.resize(source_->exprs_.size());
  // Parts stand before what they are part of.
  for (size_t id = 0; id < sizes_.size(); ++id) {
    sizes_[id] = Measure(source_->exprs_[id]);
  }
  for (size_t rule = 0; rule < is_inline_.size(); ++rule) {
    const Size& size = sizes_[source_->bodies_[rule]];
    is_inline_[rule] = !size.has_calls && size.states <= kInlineMax ? 1 : 0;
  }
}

StateId AutomatonBuilder::AddState() {
  if (states_.size() >= kGrammarStatesMax) {
    too_many_states_ = true;
    return 0;
  }
  states_.emplace_back();
  return static_cast<StateId>(states_.size() - 1);
}

RuleId AutomatonBuilder::AddRule(absl::string_view name, ExprId body,
                                 bool is_counted) {
  const StateId start = AddState();
  rules_.push_back({.name = std::string(name),
                    .body = body,
                    .start = start,
                    .end = is_counted ? start : AddState(),
                    .is_counted = is_counted});
  return static_cast<RuleId>(rules_.size() - 1);
}

RuleId AutomatonBuilder::RuleOf(RuleId source_rule) {
  RuleId& rule = rule_of_source_[source_rule];
  if (rule == std::numeric_limits<RuleId>::max()) {
    rule = AddRule(source_->names_[source_rule], source_->bodies_[source_rule],
                   /*is_counted=*/false);
  }
  return rule;
}

void AutomatonBuilder::CompileRule(RuleId rule) {
  const size_t states_before = states_.size();
  const Rule compiled = rules_[rule];
  states_[compiled.end].accepts = true;
  if (compiled.is_counted) {
    const StateId body = AddState();
    const StateId again = AddState();
    states_[compiled.start].iterate = body;
    states_[again].jumps.push_back(compiled.start);
    Compile(compiled.body, body, again);
  } else {
    Compile(compiled.body, compiled.start, compiled.end);
  }
  // Among these may be the ends of rules that are compiled later.
  for (size_t id = states_before; id < states_.size(); ++id) {
    states_[id].rule = rule;
  }
  states_[compiled.start].rule = rule;
  states_[compiled.end].rule = rule;
}

void AutomatonBuilder::Compile(ExprId id, StateId from, StateId to) {
  if (too_many_states_) return;
  const Expr& expr = source_->exprs_[id];
  switch (expr.kind) {
    case Expr::Kind::kNever:
      return;
    case Expr::Kind::kLiterals:
      return CompileLiterals(expr, from, to);
    case Expr::Kind::kChars:
      return CompileChars(Utf8RangesOf(expr.set), 0, from, to);
    case Expr::Kind::kByte:
      states_[from].bytes.push_back(
          {.first = expr.byte.first, .last = expr.byte.last, .target = to});
      return;
    case Expr::Kind::kSequence:
      return CompileSequence(expr, from, to);
    case Expr::Kind::kOneOf:
      for (const ExprId part : expr.parts) Compile(part, from, to);
      return;
    case Expr::Kind::kRepeat:
      return CompileRepeat(expr, from, to);
    case Expr::Kind::kCall:
      if (is_inline_[expr.rule]) {
        return Compile(source_->bodies_[expr.rule], from, to);
      }
      {
        // First of all: a new rule's states may move the others.
        const RuleId rule = RuleOf(expr.rule);
        states_[from].calls.push_back({.rule = rule, .next = to});
        return;
      }
    case Expr::Kind::kGraph:
      return CompileGraph(expr, from, to);
  }
}

void AutomatonBuilder::CompileLiterals(const Expr& expr, StateId from,
                                       StateId to) {
  // A trie, so that texts which begin alike share states.
  std::map<std::pair<StateId, uint8_t>, StateId> children;
  for (const std::string& text : expr.texts) {
    StateId state = from;
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      const auto [child, is_new] = children.try_emplace({state, byte}, 0);
      if (is_new) {
        child->second = AddState();
        states_[state].bytes.push_back(
            {.first = byte, .last = byte, .target = child->second});
      }
      state = child->second;
    }
    if (text.empty()) {
      states_[state].jumps.push_back(to);
    } else {
      const auto byte = static_cast<uint8_t>(text.back());
      states_[state].bytes.push_back(
          {.first = byte, .last = byte, .target = to});
    }
  }
}

void AutomatonBuilder::CompileChars(
    absl::Span<const std::vector<ByteRange>> sequences, size_t place,
    StateId from, StateId to) {
  std::map<std::vector<std::vector<ByteRange>>, StateId> state_of_rest;
  for (size_t begin = 0; begin < sequences.size();) {
    const ByteRange range = sequences[begin][place];
    size_t end = begin + 1;
    while (end < sequences.size() && sequences[end][place] == range) ++end;
    StateId target = to;
    if (place + 1 < sequences[begin].size()) {
      std::vector<std::vector<ByteRange>> rest;
      for (size_t i = begin; i < end; ++i) {
        rest.emplace_back(sequences[i].begin() + place + 1, sequences[i].end());
      }
      const auto [known, is_new] = state_of_rest.try_emplace(rest, 0);
      if (is_new) {
        known->second = AddState();
        CompileChars(rest, 0, known->second, to);
      }
      target = known->second;
    }
    states_[from].bytes.push_back(
        {.first = range.first, .last = range.last, .target = target});
    begin = end;
  }
}

void AutomatonBuilder::CompileSequence(const Expr& expr, StateId from,
                                       StateId to) {
  if (expr.parts.empty()) {
    states_[from].jumps.push_back(to);
    return;
  }
  StateId state = from;
  for (size_t i = 0; i < expr.parts.size(); ++i) {
    const StateId next = i + 1 < expr.parts.size() ? AddState() : to;
    Compile(expr.parts[i], state, next);
    state = next;
  }
}

void AutomatonBuilder::CompileStar(ExprId part, StateId from, StateId to) {
  const StateId head = AddState();
  states_[from].jumps.push_back(head);
  states_[head].jumps.push_back(to);
  const StateId again = AddState();
  Compile(part, head, again);
  states_[again].jumps.push_back(head);
}

void AutomatonBuilder::CompileRepeat(const Expr& expr, StateId from,
                                     StateId to) {
  const auto [least, most] = expr.bounds;
  if (least > most) return;
  if (most == 0) {
    states_[from].jumps.push_back(to);
    return;
  }
  const bool is_short = Measure(expr).states <= kWrittenOutMax ||
                        (least <= 1 && most == 1) ||
                        (least <= 1 && most == kUnbounded);
  if (!is_short) {
    auto [known, is_new] = counted_.try_emplace(expr.parts[0], 0);
    if (is_new) {
      known->second = AddRule("", expr.parts[0], /*is_counted=*/true);
    }
    states_[from].calls.push_back(
        {.rule = known->second, .next = to, .bounds = expr.bounds});
    return;
  }
  StateId state = from;
  for (uint32_t i = 0; i < least; ++i) {
    const StateId next = AddState();
    Compile(expr.parts[0], state, next);
    state = next;
  }
  if (most == kUnbounded) return CompileStar(expr.parts[0], state, to);
  for (uint32_t i = least; i < most; ++i) {
    states_[state].jumps.push_back(to);
    const StateId next = AddState();
    Compile(expr.parts[0], state, next);
    state = next;
  }
  states_[state].jumps.push_back(to);
}

void AutomatonBuilder::CompileGraph(const Expr& expr, StateId from,
                                    StateId to) {
  std::vector<StateId> nodes(expr.nodes);
  for (StateId& node : nodes) node = AddState();
  states_[from].jumps.push_back(nodes.front());
  states_[nodes.back()].jumps.push_back(to);
  for (const Expr::Edge& edge : expr.edges) {
    if (too_many_states_) return;
    Compile(edge.part, nodes[edge.from], nodes[edge.to]);
  }
}

bool AutomatonBuilder::CallEnds(const CallEdge& call, bool over_bytes,
                                const std::vector<uint8_t>& ends) const {
  if (!ends[call.next]) return false;
  const Rule& rule = rules_[call.rule];
  if (!rule.is_counted) return ends[rule.start];
  if (call.bounds.least == 0) return true;
  return over_bytes && ends[states_[rule.start].iterate];
}

std::vector<uint8_t> AutomatonBuilder::StatesThatEnd(bool over_bytes) const {
  std::vector<std::vector<StateId>> before(states_.size());
  // Callers by the state that they go on in, and by the states that decide
  // whether the called rule ends.
  std::vector<std::vector<std::pair<StateId, const CallEdge*>>> callers(
      states_.size());
  std::vector<uint8_t> ends(states_.size(), 0);
  std::vector<StateId> found;
  const auto mark = [&](StateId id) {
    if (ends[id]) return;
    ends[id] = 1;
    found.push_back(id);
  };
  for (StateId id = 0; id < states_.size(); ++id) {
    const State& state = states_[id];
    for (const StateId target : state.jumps) before[target].push_back(id);
    for (const ByteEdge& edge : state.bytes) {
      if (over_bytes) before[edge.target].push_back(id);
    }
    for (const CallEdge& call : state.calls) {
      const StateId start = rules_[call.rule].start;
      callers[call.next].emplace_back(id, &call);
      callers[start].emplace_back(id, &call);
      if (states_[start].iterate != kNoState) {
        callers[states_[start].iterate].emplace_back(id, &call);
      }
    }
    if (state.accepts) mark(id);
  }
  while (!found.empty()) {
    const StateId id = found.back();
    found.pop_back();
    for (const StateId other : before[id]) mark(other);
    for (const auto& [caller, call] : callers[id]) {
      if (CallEnds(*call, over_bytes, ends)) mark(caller);
    }
  }
  return ends;
}

absl::Status AutomatonBuilder::NothingMatches(
    RuleId root, const std::vector<uint8_t>& ends) const {
  // A call that could go on, if only the called rule could end, is what keeps
  // its caller from ending.
  std::vector<uint8_t> seen(rules_.size(), 0);
  RuleId culprit = root;
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    seen[culprit] = 1;
    for (const State& state : states_) {
      if (state.rule != culprit || goes_on) continue;
      for (const CallEdge& call : state.calls) {
        const bool is_blocked = ends[call.next] && !CallEnds(call, true, ends);
        if (!is_blocked || seen[call.rule]) continue;
        culprit = call.rule;
        goes_on = true;
        break;
      }
    }
  }
  return InvalidGrammar(absl::StrCat(
      rules_[culprit].name, rules_[culprit].name.empty() ? "" : ": ",
      "nothing matches: it contradicts itself, or asks for itself without an "
      "end"));
}

void AutomatonBuilder::Prune(const std::vector<uint8_t>& ends) {
  const auto erase_if = [](auto& edges, const auto& is_dead) {
    edges.erase(std::remove_if(edges.begin(), edges.end(), is_dead),
                edges.end());
  };
  for (State& state : states_) {
    erase_if(state.bytes, [&](const ByteEdge& e) { return !ends[e.target]; });
    erase_if(state.jumps, [&](StateId target) { return !ends[target]; });
    erase_if(state.calls, [&](const CallEdge& call) {
      return !CallEnds(call, /*over_bytes=*/true, ends);
    });
  }
  // After the calls, which look at it.
  for (State& state : states_) {
    if (state.iterate != kNoState && !ends[state.iterate]) {
      state.iterate = kNoState;
    }
  }
}

namespace {

// Bytes between two neighbouring borders of edges are alike everywhere.
void SetClasses(Grammar* grammar) {
  std::array<bool, 257> begins{};
  for (const ByteEdge& edge : grammar->byte_edges) {
    begins[edge.first] = true;
    begins[edge.last + 1] = true;
  }
  grammar->classes = 1;
  for (int byte = 1; byte < 256; ++byte) {
    if (begins[byte]) ++grammar->classes;
    grammar->class_of[byte] = static_cast<uint8_t>(grammar->classes - 1);
  }
}

// The rules that `rule` may call before a byte.
std::vector<RuleId> FirstCalls(const Grammar& grammar, RuleId rule,
                               std::vector<uint32_t>* seen_by) {
  std::vector<RuleId> called;
  std::vector<StateId> states;
  const auto visit = [&](StateId id) {
    if ((*seen_by)[id] == rule + 1) return;
    (*seen_by)[id] = rule + 1;
    states.push_back(id);
  };
  visit(grammar.rules[rule].start);
  while (!states.empty()) {
    const GrammarState& state = grammar.states[states.back()];
    states.pop_back();
    for (const StateId target : grammar.JumpsOf(state)) visit(target);
    if (state.iterate != kNoState) visit(state.iterate);
    for (const CallEdge& call : grammar.CallsOf(state)) {
      called.push_back(call.rule);
      const GrammarRule& target = grammar.rules[call.rule];
      const bool is_nullable =
          target.is_counted ? call.bounds.least == 0 : target.is_nullable;
      if (is_nullable) visit(call.next);
    }
  }
  return called;
}

}  // namespace

Grammar AutomatonBuilder::Flatten(RuleId root,
                                  const std::vector<uint8_t>& nullable) const {
  Grammar grammar;
  grammar.root = root;
  for (const Rule& rule : rules_) {
    grammar.rules.push_back({.name = rule.name,
                             .start = rule.start,
                             .is_counted = rule.is_counted,
                             .is_nullable = nullable[rule.start] != 0});
  }
  const auto append = [](const auto& from, auto* to) {
    to->insert(to->end(), from.begin(), from.end());
    return static_cast<uint32_t>(to->size());
  };
  for (const State& state : states_) {
    GrammarState& flat = grammar.states.emplace_back();
    flat.bytes_begin = static_cast<uint32_t>(grammar.byte_edges.size());
    flat.bytes_end = append(state.bytes, &grammar.byte_edges);
    flat.jumps_begin = static_cast<uint32_t>(grammar.jumps.size());
    flat.jumps_end = append(state.jumps, &grammar.jumps);
    flat.calls_begin = static_cast<uint32_t>(grammar.calls.size());
    flat.calls_end = append(state.calls, &grammar.calls);
    flat.iterate = state.iterate;
    flat.rule = state.rule;
    flat.accepts = state.accepts;
    flat.only_ends = state.accepts && !rules_[state.rule].is_counted &&
                     state.bytes.empty() && state.jumps.empty() &&
                     state.calls.empty();
    for (const CallEdge& call : state.calls) {
      grammar.rules[call.rule].returns.push_back(call.next);
    }
  }
  SetClasses(&grammar);
  return grammar;
}

absl::Status RankRules(Grammar* grammar) {
  const size_t count = grammar->rules.size();
  std::vector<std::vector<RuleId>> calls(count);
  std::vector<uint32_t> callers_left(count, 0);
  std::vector<uint32_t> seen_by(grammar->states.size(), 0);
  for (RuleId rule = 0; rule < count; ++rule) {
    calls[rule] = FirstCalls(*grammar, rule, &seen_by);
    for (const RuleId called : calls[rule]) ++callers_left[called];
  }
  std::vector<RuleId> ready;
  for (RuleId rule = 0; rule < count; ++rule) {
    if (callers_left[rule] == 0) ready.push_back(rule);
  }
  uint32_t ranked = 0;
  while (!ready.empty()) {
    const RuleId rule = ready.back();
    ready.pop_back();
    grammar->rules[rule].rank = ranked++;
    for (const RuleId called : calls[rule]) {
      if (--callers_left[called] == 0) ready.push_back(called);
    }
  }
  if (ranked == count) return absl::OkStatus();
  // Every rule that is left has a caller that is left, so going from caller to
  // caller ends in a circle.
  std::vector<RuleId> caller_of(count, 0);
  RuleId rule = 0;
  for (RuleId caller = 0; caller < count; ++caller) {
    if (callers_left[caller] == 0) continue;
    rule = caller;
    for (const RuleId called : calls[caller]) caller_of[called] = caller;
  }
  for (size_t i = 0; i < count; ++i) rule = caller_of[rule];
  while (grammar->rules[rule].name.empty()) rule = caller_of[rule];
  return InvalidGrammar(
      absl::StrCat(grammar->rules[rule].name,
                   ": left recursion: the rule calls itself before any "
                   "character; write what repeats with * or after it"));
}

}  // namespace tandem
