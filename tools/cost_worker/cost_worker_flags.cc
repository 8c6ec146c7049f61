#include "tools/cost_worker/cost_worker_flags.h"

#include <vector>

#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"

namespace tandem::bench {
namespace {

void AddCostFlags(CLI::App* app, CostWorkerOptions* options,
                  std::vector<int64_t>* step_us) {
  app->add_option("--step-us", *step_us,
                  "BASE,PER_ROW: microseconds that a pass takes, and more for "
                  "each of its rows; default 0,0: as little as can be")
      ->delimiter(',')
      ->expected(1, 2)
      ->check(WholeNumber(0, kStepUsMax));
  app->add_option("--agreement", options->engine.agreement,
                  "Share of positions, 0 .. 1, at which this worker names the "
                  "tokens that one with agreement 1 names; below 1 for a draft")
      ->check(Number(0.0, 1.0))
      ->capture_default_str();
  app->add_option("--context-max", options->engine.context_max,
                  "Tokens of one sequence at most")
      ->check(WholeNumber(1, 1 << 30))
      ->capture_default_str();
  app->add_option("--kv-tokens", options->engine.kv_tokens,
                  "Tokens of all sequences together; they take no memory")
      ->check(WholeNumber(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  app->add_option("--rows-max", options->engine.rows_max,
                  "Rows of one pass at most")
      ->check(WholeNumber(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--sequences-max", options->engine.sequences_max,
                  "Sequences at once at most")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
}

}  // namespace

std::optional<int> ParseCostWorkerFlags(int argc, const char* const* argv,
                                        CostWorkerOptions* options) {
  options->server.listen = kCostWorkerListenDefault;
  CLI::App app(
      "A worker that computes nothing and takes the time that its flags say: "
      "measures a tandem coordinator without a model.",
      kCostWorkerProgram);
  std::string role;
  std::vector<int64_t> step_us;
  app.add_option("--role", role,
                 "draft (proposes tokens) or target (decides them)")
      ->check(OneOf({"draft", "target"}))
      ->required();
  app.add_option("--vocabulary", options->vocabulary_path,
                 "GGUF file whose vocabulary is served; the same for draft and "
                 "target")
      ->required();
  app.add_option("--model-id", options->model_id, "Name of the model")
      ->capture_default_str();
  AddCostFlags(&app, options, &step_us);
  AddServerFlags(&app, &options->server);
  SetExamples(&app, {"tandem-cost-worker --role target --vocabulary model.gguf "
                     "--step-us 20000,500",
                     "tandem-cost-worker --role draft --vocabulary model.gguf "
                     "--agreement 0.8 --listen unix:/tmp/draft.sock"});
  if (const std::optional<int> code = ParseFlags(&app, argc, argv)) {
    return code;
  }
  options->role =
      role == "draft" ? v1::WORKER_ROLE_DRAFT : v1::WORKER_ROLE_TARGET;
  if (!step_us.empty()) {
    options->engine.step_base = std::chrono::microseconds(step_us[0]);
  }
  if (step_us.size() > 1) {
    options->engine.step_per_row = std::chrono::microseconds(step_us[1]);
  }
  return std::nullopt;
}

}  // namespace tandem::bench
