#include "tools/load/tandem_target.h"

#include <utility>

#include "engine/base/check.h"
#include "tools/load/converse_session.h"
#include "tools/load/generate_session.h"

namespace tandem::load {

TandemTarget::TandemTarget(TandemTargetOptions options)
    : options_(std::move(options)) {
  TANDEM_CHECK(!options_.channels.empty());
  common_.set_model_id(options_.model_id);
  *common_.mutable_options() = options_.generation;
  for (const auto& channel : options_.channels) {
    stubs_.push_back(v1::GenerationService::NewStub(channel));
  }
}

std::unique_ptr<LoadSession> TandemTarget::NewSession() {
  v1::GenerationService::StubInterface* const stub =
      stubs_[next_stub_++ % stubs_.size()].get();
  if (options_.call == TandemCall::kGenerate) {
    return std::make_unique<GenerateSession>(stub, common_, &streams_);
  }
  return std::make_unique<ConverseSession>(stub, common_, &streams_);
}

}  // namespace tandem::load
