#include "engine/grammar/json/char_automaton.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

absl::Status TooManyStates() {
  return InvalidGrammar(
      absl::StrCat("pattern, format and length together take more than ",
                   kCharStatesMax, " states; use fewer or smaller ones"));
}

}  // namespace

// Thompson's construction, then without the jumps.
class CharAutomatonBuilder {
 public:
  CharAutomatonBuilder(const GrammarBuilder& source, WorkBudget* budget)
      : source_(source), budget_(*budget) {}

  absl::StatusOr<CharAutomaton> Build(ExprId expr) {
    const uint32_t start = AddState();
    const uint32_t end = AddState();
    Compile(expr, start, end);
    if (is_full_) return TooManyStates();
    CharAutomaton automaton;
    automaton.states_.resize(states_.size());
    for (uint32_t id = 0; id < states_.size(); ++id) {
      CharAutomaton::State& state = automaton.states_[id];
      const std::vector<uint32_t> reached = WithoutCharacter(id);
      TANDEM_RETURN_IF_ERROR(
          budget_.Spend(reached.size() + states_.size() / 64));
      for (const uint32_t other : reached) {
        state.accepts |= other == end;
        state.edges.insert(state.edges.end(), states_[other].edges.begin(),
                           states_[other].edges.end());
      }
    }
    return automaton;
  }

 private:
  struct State {
    std::vector<CharAutomaton::Edge> edges;
    std::vector<uint32_t> jumps;
  };

  uint32_t AddState() {
    if (states_.size() >= kCharStatesMax) {
      is_full_ = true;
      return 0;
    }
    states_.emplace_back();
    return static_cast<uint32_t>(states_.size() - 1);
  }

  void Compile(ExprId id, uint32_t from, uint32_t to) {
    if (is_full_) return;
    const Expr& expr = source_.expr(id);
    switch (expr.kind) {
      case Expr::Kind::kNever:
        return;
      case Expr::Kind::kChars:
        states_[from].edges.push_back({.set = expr.set, .to = to});
        return;
      case Expr::Kind::kSequence:
        for (const ExprId part : expr.parts) {
          const uint32_t next = AddState();
          Compile(part, from, next);
          from = next;
        }
        states_[from].jumps.push_back(to);
        return;
      case Expr::Kind::kOneOf:
        for (const ExprId part : expr.parts) Compile(part, from, to);
        return;
      case Expr::Kind::kRepeat:
        return CompileRepeat(expr, from, to);
      default:
        // ParseRegex makes no other kind.
        TANDEM_CHECK(false);
    }
  }

  void CompileRepeat(const Expr& expr, uint32_t from, uint32_t to) {
    const auto [least, most] = expr.bounds;
    for (uint32_t i = 0; i < least && !is_full_; ++i) {
      const uint32_t next = AddState();
      Compile(expr.parts[0], from, next);
      from = next;
    }
    if (most == kUnbounded) {
      const uint32_t head = AddState();
      states_[from].jumps.push_back(head);
      const uint32_t again = AddState();
      Compile(expr.parts[0], head, again);
      states_[again].jumps.push_back(head);
      states_[head].jumps.push_back(to);
      return;
    }
    for (uint32_t i = least; i < most && !is_full_; ++i) {
      states_[from].jumps.push_back(to);
      const uint32_t next = AddState();
      Compile(expr.parts[0], from, next);
      from = next;
    }
    states_[from].jumps.push_back(to);
  }

  std::vector<uint32_t> WithoutCharacter(uint32_t start) const {
    std::vector<uint8_t> seen(states_.size(), 0);
    std::vector<uint32_t> found = {start};
    seen[start] = 1;
    for (size_t i = 0; i < found.size(); ++i) {
      for (const uint32_t target : states_[found[i]].jumps) {
        if (seen[target]) continue;
        seen[target] = 1;
        found.push_back(target);
      }
    }
    return found;
  }

  const GrammarBuilder& source_;
  WorkBudget& budget_;
  std::vector<State> states_;
  bool is_full_ = false;
};

absl::StatusOr<CharAutomaton> CharAutomaton::Of(const GrammarBuilder& builder,
                                                ExprId expr,
                                                WorkBudget* budget) {
  return CharAutomatonBuilder(builder, budget).Build(expr);
}

CharAutomaton CharAutomaton::OfLength(Bounds bounds) {
  const bool is_bounded = bounds.most != kUnbounded;
  const uint32_t last = is_bounded ? bounds.most : bounds.least;
  TANDEM_CHECK(last < kCharStatesMax);
  CharAutomaton automaton;
  automaton.states_.resize(last + 1);
  for (uint32_t length = 0; length <= last; ++length) {
    State& state = automaton.states_[length];
    state.accepts = length >= bounds.least;
    if (length < last || !is_bounded) {
      state.edges.push_back(
          {.set = CharSet::Any(), .to = std::min(length + 1, last)});
    }
  }
  return automaton;
}

absl::StatusOr<CharAutomaton> CharAutomaton::Intersection(
    const CharAutomaton& a, const CharAutomaton& b, WorkBudget* budget) {
  CharAutomaton both;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> ids;
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  const auto id_of = [&](uint32_t in_a, uint32_t in_b) {
    const auto [known, is_new] =
        ids.try_emplace({in_a, in_b}, static_cast<uint32_t>(pairs.size()));
    if (is_new) pairs.emplace_back(in_a, in_b);
    return known->second;
  };
  id_of(0, 0);
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (pairs.size() > kCharStatesMax) return TooManyStates();
    const State& in_a = a.states_[pairs[i].first];
    const State& in_b = b.states_[pairs[i].second];
    TANDEM_RETURN_IF_ERROR(
        budget->Spend(1 + in_a.edges.size() * in_b.edges.size()));
    State state{.accepts = in_a.accepts && in_b.accepts};
    for (const Edge& edge_a : in_a.edges) {
      for (const Edge& edge_b : in_b.edges) {
        CharSet set = edge_a.set.Intersection(edge_b.set);
        if (set.empty()) continue;
        const uint32_t to = id_of(edge_a.to, edge_b.to);
        state.edges.push_back({.set = std::move(set), .to = to});
      }
    }
    both.states_.push_back(std::move(state));
  }
  return both;
}

bool CharAutomaton::Matches(absl::Span<const uint32_t> text) const {
  std::vector<uint8_t> at(states_.size(), 0);
  at[0] = 1;
  for (const uint32_t c : text) {
    std::vector<uint8_t> next(states_.size(), 0);
    for (size_t id = 0; id < states_.size(); ++id) {
      if (!at[id]) continue;
      for (const Edge& edge : states_[id].edges) {
        if (edge.set.Contains(c)) next[edge.to] = 1;
      }
    }
    at = std::move(next);
  }
  for (size_t id = 0; id < states_.size(); ++id) {
    if (at[id] && states_[id].accepts) return true;
  }
  return false;
}

bool CharAutomaton::IsEmpty() const {
  std::vector<uint8_t> seen(states_.size(), 0);
  std::vector<uint32_t> found = {0};
  seen[0] = 1;
  for (size_t i = 0; i < found.size(); ++i) {
    if (states_[found[i]].accepts) return false;
    for (const Edge& edge : states_[found[i]].edges) {
      if (edge.set.empty() || seen[edge.to]) continue;
      seen[edge.to] = 1;
      found.push_back(edge.to);
    }
  }
  return true;
}

ExprId CharAutomaton::ToExpr(absl::FunctionRef<ExprId(const CharSet&)> encode,
                             GrammarBuilder* builder) const {
  std::vector<Expr::Edge> edges;
  const auto end = static_cast<uint32_t>(states_.size());
  for (uint32_t id = 0; id < end; ++id) {
    for (const Edge& edge : states_[id].edges) {
      edges.push_back({.from = id, .to = edge.to, .part = encode(edge.set)});
    }
    if (states_[id].accepts) {
      edges.push_back({.from = id, .to = end, .part = builder->Empty()});
    }
  }
  return builder->Graph(end + 1, std::move(edges));
}

}  // namespace tandem
