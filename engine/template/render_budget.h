// What a render may still take, and the making of values within it. Every loop
// over what a template or its values decide takes steps here; every text, list
// or map that is made takes memory here. Belongs to one render and its thread.

#ifndef TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
#define TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/marked_text.h"
#include "engine/template/template_program.h"
#include "engine/template/template_value.h"

namespace tandem {

// Levels of lists and maps in one another: functions over values recurse.
inline constexpr int kValueDepthMax = 100;
// Bytes of text that are worked on in a step.
inline constexpr int64_t kBytesPerStep = 64;

// The error of a template, without the place, which the evaluator adds:
// FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE.
absl::Status TemplateError(absl::string_view message);

// "there is no WHAT 'NAME'", with the nearest one of `names`.
std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               const std::vector<absl::string_view>& names);

class RenderBudget {
 public:
  explicit RenderBudget(const TemplateLimits& limits);
  RenderBudget(const RenderBudget&) = delete;
  RenderBudget& operator=(const RenderBudget&) = delete;

  absl::Status Step(int64_t steps = 1);
  // The steps of work on `bytes` bytes of text.
  absl::Status StepBytes(size_t bytes);
  // Fails where `bytes` more would be too much, before they are made.
  absl::Status CheckRoom(double bytes) const;
  // The same for texts that are put out.
  absl::Status CheckOutput(size_t bytes) const;

  absl::StatusOr<TemplateValue> NewText(MarkedText text);
  absl::StatusOr<TemplateValue> NewText(absl::string_view text);
  absl::StatusOr<TemplateValue> NewList(
      std::vector<TemplateValue> items,
      TemplateValue::ListKind kind = TemplateValue::ListKind::kList);
  // `entries` as TemplateValue::Map.
  absl::StatusOr<TemplateValue> NewMap(
      std::vector<TemplateValue::Entry> entries);
  // Takes the memory of an object that lives as long as the render.
  absl::Status TakeObject(size_t bytes);

  int depth_max() const { return limits_.depth_max; }

 private:
  const TemplateLimits limits_;
  int64_t steps_ = 0;
  int64_t memory_bytes_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
