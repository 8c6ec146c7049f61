// A target inside the process: turns end when they are told to, or at once.

#ifndef TANDEM_TESTS_TOOLS_LOAD_FAKE_TARGET_H_
#define TANDEM_TESTS_TOOLS_LOAD_FAKE_TARGET_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tools/load/load_target.h"

namespace tandem::load {

class FakeTarget final : public LoadTarget {
 public:
  // What Start does; by default one event of two tokens and an end.
  std::function<void(const LoadTurn&, TurnObserver*)> on_start =
      [](const LoadTurn&, TurnObserver* observer) {
        observer->OnTokens(2);
        observer->OnEnd({.status = {}, .finish_reason = "length"});
      };
  // What Cancel and Abort do with the observer of the turn under way.
  std::function<void(TurnObserver*)> on_cancel = [](TurnObserver*) {};
  std::function<void(TurnObserver*)> on_abort = [](TurnObserver*) {};

  std::unique_ptr<LoadSession> NewSession() override {
    ++sessions;
    ++sessions_open;
    return std::make_unique<Session>(this);
  }

  int sessions = 0;
  int sessions_open = 0;
  int turns = 0;
  std::vector<int> turns_of_sessions;  // of those that are over

 private:
  class Session final : public LoadSession {
   public:
    explicit Session(FakeTarget* target) : target_(target) {}
    ~Session() override {
      --target_->sessions_open;
      target_->turns_of_sessions.push_back(turns_);
    }
    void Start(const LoadTurn& turn, TurnObserver* observer) override {
      ++turns_;
      ++target_->turns;
      observer_ = observer;
      target_->on_start(turn, observer);
    }
    void Cancel() override { target_->on_cancel(observer_); }
    void Abort() override { target_->on_abort(observer_); }

   private:
    FakeTarget* const target_;
    TurnObserver* observer_ = nullptr;
    int turns_ = 0;
  };
};

}  // namespace tandem::load

#endif  // TANDEM_TESTS_TOOLS_LOAD_FAKE_TARGET_H_
