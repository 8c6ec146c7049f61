// What a render may still take, and the making of values within it. Every loop
// over what a template or its values decide takes steps here; every text, list
// or map that is made takes memory here. Taking steps does not fail: what is
// made next does, so at most one operation goes on after the last step. Belongs
// to one render and its thread.
//
// The budget keeps the first error of the render, too. After it, functions give
// empty or undefined values, checks fail, nothing is made and no expression or
// statement is begun, so all comes to its end; loops that copy or that need
// such a value to go on look at ok().

#ifndef TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
#define TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
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

  // What Fail gives: nothing, as a value of any type.
  struct Nothing {
    template <typename T>
    operator T() const {  // NOLINT(google-explicit-constructor)
      return T();
    }
  };
  // Keeps the error if it is the first.
  Nothing Fail(const absl::Status& error);
  // The same with a TemplateError of these parts, made for the first one only:
  // loops that end soon may fail once for each item.
  template <typename... Parts>
  Nothing Fail(absl::string_view first, const Parts&... parts) {
    return ok() ? Fail(TemplateError(first, parts...)) : Nothing();
  }
  bool ok() const { return error_.ok(); }
  const absl::Status& error() const { return error_; }
  // The parts and ": " before the message of the error, if there is one.
  template <typename... Parts>
  void AnnotateError(const Parts&... context) {
    if (!ok()) error_ = Annotate(error_, absl::StrCat(context...));
  }

  void Step(size_t steps = 1) { steps_ += static_cast<int64_t>(steps); }
  // The steps of work on `bytes` bytes of text.
  void StepBytes(size_t bytes) { Step(1 + bytes / kBytesPerStep); }
  // ... that goes character by character.
  void StepCharacters(size_t bytes) {
    Step(1 + bytes / kCharacterBytesPerStep);
  }
  // The steps of a look through `count` variables.
  void StepVariables(size_t count) { Step(count / kVariablesPerStep); }

  // False after an error. An error where more steps are taken than there are.
  bool Check();
  // The same, and where `count` times `bytes_each` more would be too much,
  // before they are made.
  bool CheckRoom(size_t count, size_t bytes_each = 1);
  // The same for `count` items of lists.
  bool CheckItems(size_t count);
  // The same for texts that are put out, of `ranges` contents.
  bool CheckOutput(size_t bytes, size_t ranges);
  // Appends where there is room for both; else fails.
  bool Append(const MarkedText& more, MarkedText* text);

  TemplateValue NewText(MarkedText text);
  TemplateValue NewText(absl::string_view text);
  // The bytes [begin, end) of `text`.
  TemplateValue NewSlice(const MarkedText& text, size_t begin, size_t end);
  TemplateValue NewList(
      std::vector<TemplateValue> items,
      TemplateValue::ListKind kind = TemplateValue::ListKind::kList);
  // Takes the memory of `list`, which has no charge.
  TemplateValue NewList(TemplateValue::ListNode list);
  // The `count` numbers of a range.
  TemplateValue NewRange(const RangeBounds& bounds, size_t count);
  // `entries` as in TemplateValue::MapNode.
  TemplateValue NewMap(std::vector<TemplateValue::Entry> entries);
  // A value that points to `object`, which lives as long as the render.
  TemplateValue NewObject(std::unique_ptr<TemplateObject> object, size_t bytes);
  // Takes the memory of what lives as long as the render.
  bool TakeForever(size_t bytes);

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
  bool CheckDepth();

 private:
  const TemplateLimits limits_;
  int depth_ = 0;
  int64_t steps_ = 0;
  size_t memory_bytes_ = 0;
  absl::Status error_;
  // Their values give memory back, so these end first.
  std::vector<std::unique_ptr<TemplateObject>> objects_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_RENDER_BUDGET_H_
