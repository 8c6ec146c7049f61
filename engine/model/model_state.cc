#include "engine/model/model_state.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// Queries of a row group at most, but for models with more heads a KV head.
// They share each key and value that is read: past some dozens nothing is
// gained any more, and prompts have fewer groups to share out.
constexpr int64_t kGroupQueries = 32;

// Points each query at its own [head_dim] of `values`.
std::vector<AttentionQuery> MakeQueries(int64_t count, int64_t head_dim,
                                        AlignedBuffer<float>* values) {
  *values = AlignedBuffer<float>(count * head_dim);
  std::vector<AttentionQuery> queries(count);
  for (int64_t i = 0; i < count; ++i) {
    queries[i].values = values->data() + i * head_dim;
  }
  return queries;
}

int64_t SpansOf(Position positions) {
  return (int64_t{positions} + kAttentionSpanTokens - 1) / kAttentionSpanTokens;
}

int64_t GroupQueries(const ModelConfig& config) {
  return std::max(kGroupQueries, config.heads / config.kv_heads);
}

int64_t InputsMax(const ModelConfig& config) {
  return std::max(
      {config.width, config.query_width(), config.feed_forward_width});
}

// At most; of int8 rows both quantised forms, of float rows with those of one
// call more, and what oneDNN keeps for each thread.
int64_t MultiplierBytes(const ModelStateOptions& options, int64_t inputs) {
  // Of one value, rounded up: an ActivationGroup has 352 bytes for 256 values,
  // an ActivationSuperBlock 2,720 for 2,048; both together 2.7.
  constexpr int64_t kQuantisedBytes = 3;
  constexpr int64_t kCallRows = 256;
  constexpr int64_t kThreadBytes = int64_t{4} << 20;
  if (options.numerics == NumericsMode::kInt8) {
    return options.rows_max * inputs * kQuantisedBytes;
  }
  return (options.rows_max + kCallRows) * inputs *
             static_cast<int64_t>(sizeof(float)) +
         options.threads * kThreadBytes;
}

KvCacheOptions KvOptions(const ModelConfig& config,
                         const ModelStateOptions& options) {
  return {.layers = config.layers,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .type = options.kv_type,
          .pages = options.kv_pages,
          .context_max = options.context_max,
          .sequences_max = options.sequences_max,
          .windows = config.windows,
          .rows_max = options.rows_max,
          .prefix_cache = options.prefix_cache};
}

void MakeAttention(const ModelConfig& config, const ModelStateOptions& options,
                   Position longest, Activations* activations) {
  activations->groups.reserve(options.rows_max);
  activations->group_queries = GroupQueries(config);
  activations->member_queries =
      MakeQueries(options.threads * 2 * activations->group_queries,
                  config.head_dim, &activations->member_values);
  const int64_t queries = SpansOf(longest) * kSpanRowsMax * config.heads;
  activations->span_queries = HugePageArray<AttentionQuery>(queries);
  activations->span_values = HugePageArray<float>(queries * config.head_dim);
}

Activations MakeActivations(const ModelConfig& config,
                            const ModelStateOptions& options,
                            Position longest) {
  const int64_t rows = options.rows_max;
  Activations activations;
  activations.rows.reserve(rows);
  activations.wanted.reserve(rows);
  activations.residual = AlignedBuffer<float>(rows * config.width);
  activations.normed = AlignedBuffer<float>(rows * config.width);
  activations.query = AlignedBuffer<float>(rows * config.query_width());
  activations.key = AlignedBuffer<float>(rows * config.kv_width());
  activations.value = AlignedBuffer<float>(rows * config.kv_width());
  activations.attended = AlignedBuffer<float>(rows * config.query_width());
  activations.delta = AlignedBuffer<float>(rows * config.width);
  activations.gate = AlignedBuffer<float>(rows * config.feed_forward_width);
  activations.up = AlignedBuffer<float>(rows * config.feed_forward_width);
  activations.logits = AlignedBuffer<float>(
      std::min<int64_t>(rows, kHeadTileRows) * config.vocab_size);
  MakeAttention(config, options, longest, &activations);
  return activations;
}

}  // namespace

StateFootprint FootprintOf(const ModelConfig& config,
                           const ModelStateOptions& options) {
  const int64_t rows = options.rows_max;
  const int64_t floats =
      rows * (3 * config.width + 2 * config.query_width() +
              2 * config.kv_width() + 2 * config.feed_forward_width) +
      std::min<int64_t>(rows, kHeadTileRows) * config.vocab_size;
  const int64_t query_bytes = static_cast<int64_t>(
      sizeof(AttentionQuery) + config.head_dim * sizeof(float));
  const int64_t members = options.threads * 2 * GroupQueries(config);
  const int64_t notes =
      rows * static_cast<int64_t>(sizeof(PassRow) + sizeof(WantedRow) +
                                  sizeof(RowGroup));
  const KvFootprint kv = KvCache::FootprintOf(KvOptions(config, options));
  const int64_t ropes = config.local_rope ? 2 : 1;
  return {.scratch_bytes = floats * static_cast<int64_t>(sizeof(float)) +
                           notes + members * query_bytes + kv.table_bytes +
                           MultiplierBytes(options, InputsMax(config)),
          .position_bytes =
              ropes * config.rope.dims * static_cast<int64_t>(sizeof(float)) +
              kSpanRowsMax * config.heads * query_bytes / kAttentionSpanTokens,
          .kv = kv};
}

absl::StatusOr<std::unique_ptr<ModelState>> ModelState::Create(
    const ModelConfig& config, const ModelStateOptions& options) {
  // The cache first: it is the large part, and says clearly when it does not
  // fit.
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<KvCache> kv,
                          KvCache::Create(KvOptions(config, options)));
  try {
    return std::unique_ptr<ModelState>(
        new ModelState(config, options, std::move(kv)));
  } catch (const std::bad_alloc&) {
    return Exhausted(absl::StrCat("no memory for the activations of ",
                                  options.rows_max, " rows; ask for fewer"));
  }
}

ModelState::ModelState(const ModelConfig& config,
                       const ModelStateOptions& options,
                       std::unique_ptr<KvCache> kv)
    : config_(config),
      options_(options),
      kv_(std::move(kv)),
      team_(options.threads, options.pinning),
      kernels_(KernelsFor(options.level)),
      multiplier_(options.numerics, options.rows_max, InputsMax(config),
                  kernels_, &team_),
      activations_(MakeActivations(config, options, kv_->longest())),
      rope_(config.rope, options.context_max, kv_->longest()) {
  if (config.local_rope) {
    local_rope_.emplace(*config.local_rope, options.context_max,
                        kv_->longest());
  }
}

void ModelState::FillRope(Position end) {
  rope_.FillTo(end, &team_);
  if (local_rope_) local_rope_->FillTo(end, &team_);
}

void ModelState::CheckBatch(absl::Span<const StepItem> batch) {
  ++batches_;
  size_t rows = 0;
  for (const StepItem& item : batch) {
    TANDEM_CHECK(kv_->IsOpen(item.sequence));
    TANDEM_CHECK(kv_->MarkInBatch(item.sequence, batches_));
    TANDEM_CHECK(item.position >= kv_->cut_min(item.sequence) &&
                 item.position <= kv_->length(item.sequence));
    const Position room = kv_->tokens_max(item.sequence) - item.position;
    TANDEM_CHECK(!item.tokens.empty() &&
                 item.tokens.size() <= static_cast<size_t>(room));
    TANDEM_CHECK(item.rows_from == 0 || (item.rows == WantedRows::kAll &&
                                         item.rows_from < item.tokens.size()));
    for (const TokenId token : item.tokens) {
      TANDEM_CHECK(token >= 0 && token < config_.vocab_size);
    }
    rows += item.tokens.size();
  }
  TANDEM_CHECK(rows <= static_cast<size_t>(options_.rows_max));
}

}  // namespace tandem
