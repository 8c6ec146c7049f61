// What a render may still take, and the making of values within it. Every loop
// over what a template or its values decide takes steps here; every text, list
// or map that is made takes memory here. Taking steps does not fail: what is
// made next does, so at most one operation goes on after the last step. Belongs
// to one render and its thread.

#ifndef TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
#define TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/template/marked_text.h"
#include "engine/template/template_program.h"
#include "engine/template/template_value.h"

namespace tandem {

// Levels of lists and maps in one another: functions over values recurse.
inline constexpr int kValueDepthMax = 100;
// Bytes of text that are copied, compared or searched in a step, and of those
// that are worked on character by character.
inline constexpr size_t kBytesPerStep = 64;
inline constexpr size_t kCharacterBytesPerStep = 8;
// Variables that are compared with a name in a step, and bytes of a name.
inline constexpr size_t kVariablesPerStep = 8;
inline constexpr size_t kVariableNameBytesMax = 128;
// Bytes after which a text that grows is compared with the room there is.
inline constexpr size_t kBytesBetweenChecks = 64 << 10;

// The error of a template, without the place, which the evaluator adds:
// FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE. It says `message`, or all
// that is given.
absl::Status TemplateError(absl::string_view message);
template <typename... Parts>
absl::Status TemplateError(absl::string_view first, const Parts&... parts) {
  return TemplateError(absl::string_view(absl::StrCat(first, parts...)));
}

// The text in quotes; of a long one the beginning.
std::string Quoted(absl::string_view text);

// "there is no WHAT 'NAME'", with the nearest one of `names`.
std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               const std::vector<absl::string_view>& names);

class RenderBudget {
 public:
  explicit RenderBudget(const TemplateLimits& limits);
  RenderBudget(const RenderBudget&) = delete;
  RenderBudget& operator=(const RenderBudget&) = delete;
  ~RenderBudget();

  void Step(size_t steps = 1) { steps_ += static_cast<int64_t>(steps); }
  // The steps of work on `bytes` bytes of text.
  void StepBytes(size_t bytes) { Step(1 + bytes / kBytesPerStep); }
  // ... that goes character by character.
  void StepCharacters(size_t bytes) {
    Step(1 + bytes / kCharacterBytesPerStep);
  }
  // The steps of a look through `count` variables.
  void StepVariables(size_t count) { Step(count / kVariablesPerStep); }

  // Fails where more steps are taken than there are.
  absl::Status Check() const;
  // The same, and where `count` times `bytes_each` more would be too much,
  // before they are made.
  absl::Status CheckRoom(size_t count, size_t bytes_each = 1) const;
  // The same for `count` items of lists.
  absl::Status CheckItems(size_t count) const;
  // The same for texts that are put out, of `ranges` contents.
  absl::Status CheckOutput(size_t bytes, size_t ranges) const;
  // Appends where there is room for both; else fails.
  absl::Status Append(const MarkedText& more, MarkedText* text) const;

  ValueOr NewText(MarkedText text);
  ValueOr NewText(absl::string_view text);
  // The bytes [begin, end) of `text`.
  ValueOr NewSlice(const MarkedText& text, size_t begin, size_t end);
  ValueOr NewList(
      std::vector<TemplateValue> items,
      TemplateValue::ListKind kind = TemplateValue::ListKind::kList);
  ValueOr NewPair(const TemplateValue& first, const TemplateValue& second);
  // Takes the memory of `list`, which has no charge.
  ValueOr NewList(TemplateValue::ListNode list);
  // The `count` numbers of a range.
  ValueOr NewRange(const RangeBounds& bounds, size_t count);
  // `entries` as in TemplateValue::MapNode.
  ValueOr NewMap(std::vector<TemplateValue::Entry> entries);
  // A value that points to `object`, which lives as long as the render.
  ValueOr NewObject(std::unique_ptr<TemplateObject> object, size_t bytes);
  // Takes the memory of what lives as long as the render.
  absl::Status TakeForever(size_t bytes);

  // One level deeper for as long as this lives: statements, expressions, macros
  // and what is printed recurse.
  class Level {
   public:
    explicit Level(RenderBudget* budget) : depth_(budget->depth_) { ++depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --depth_; }

   private:
    int& depth_;
  };
  // A step, and an error where there are too many levels.
  absl::Status CheckDepth();

 private:
  const TemplateLimits limits_;
  int depth_ = 0;
  int64_t steps_ = 0;
  size_t memory_bytes_ = 0;
  // Their values give memory back, so these end first.
  std::vector<std::unique_ptr<TemplateObject>> objects_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
