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
// Bytes of text that are copied, compared or searched in a step, and of those
// that are worked on character by character.
inline constexpr int64_t kBytesPerStep = 64;
inline constexpr int64_t kCharacterBytesPerStep = 8;
// Variables that are compared with a name in a step, and bytes of a name.
inline constexpr int64_t kVariablesPerStep = 8;
inline constexpr size_t kVariableNameBytesMax = 128;
// Bytes after which a text that grows is compared with the room there is.
inline constexpr size_t kBytesBetweenChecks = 64 << 10;

// The error of a template, without the place, which the evaluator adds:
// FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE.
absl::Status TemplateError(absl::string_view message);

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

  absl::Status Step(int64_t steps = 1);
  // The steps of work on `bytes` bytes of text.
  absl::Status StepBytes(size_t bytes);
  // ... that goes character by character.
  absl::Status StepCharacters(size_t bytes);
  // The steps of a look through `count` variables.
  absl::Status StepVariables(size_t count);
  // Fails where `bytes` more would be too much, before they are made.
  absl::Status CheckRoom(double bytes) const;
  // The same for `count` items of lists.
  absl::Status CheckItems(size_t count) const;
  // The same for texts that are put out, of `ranges` contents.
  absl::Status CheckOutput(size_t bytes, size_t ranges) const;

  absl::StatusOr<TemplateValue> NewText(MarkedText text);
  absl::StatusOr<TemplateValue> NewText(absl::string_view text);
  // The bytes [begin, end) of `text`.
  absl::StatusOr<TemplateValue> NewSlice(const MarkedText& text, size_t begin,
                                         size_t end);
  absl::StatusOr<TemplateValue> NewList(
      std::vector<TemplateValue> items,
      TemplateValue::ListKind kind = TemplateValue::ListKind::kList);
  // The `count` numbers of a range.
  absl::StatusOr<TemplateValue> NewRange(const RangeBounds& bounds,
                                         size_t count);
  // `entries` as TemplateValue::Map.
  absl::StatusOr<TemplateValue> NewMap(
      std::vector<TemplateValue::Entry> entries);
  // Takes the memory of an object that lives as long as the render.
  absl::Status TakeObject(size_t bytes);

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
  int64_t memory_bytes_ = 0;
};

// Compares a text that grows, while another one is gone through, with the room
// there is: every kBytesBetweenChecks bytes of that one.
class RoomChecks {
 public:
  explicit RoomChecks(const RenderBudget* budget) : budget_(*budget) {}

  absl::Status Check(size_t offset, const MarkedText& text) {
    if (offset < next_) return absl::OkStatus();
    next_ = offset + kBytesBetweenChecks;
    return budget_.CheckRoom(static_cast<double>(text.memory_bytes()));
  }

 private:
  const RenderBudget& budget_;
  size_t next_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
