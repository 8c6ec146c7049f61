// The events of /v1/responses.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/gateway/openai/response_object.h"
#include "services/gateway/openai/stream_writer.h"

namespace tandem::gateway {
namespace {

using Kind = OutputItem::Kind;

// The last events hold all of the reply. So a stream that is resumed asks the
// service for the turn from its beginning, writes all events again and leaves
// out what the client has. That is counted in steps: an event is one, a delta
// as many as it has bytes, however the tokens were grouped. In place of
// TOKENS-BYTES the ids of this endpoint have EVENTS-STEPS.
class ResponseWriter final : public StreamWriter {
 public:
  explicit ResponseWriter(const ReplyFormat& format) : StreamWriter(format) {}

  StreamPosition Resume(const StreamPosition& from) override {
    had_steps_ = from.text_bytes;
    // An event is a step at least.
    sequence_ = std::min(from.tokens, from.text_bytes);
    return StreamWriter::Resume(
        {.session_id = from.session_id, .turn = from.turn});
  }

 private:
  void OnStarted() override {
    EmitResponse("response.created", nullptr);
    EmitResponse("response.in_progress", nullptr);
  }

  void OnPiece(const Piece& piece) override {
    for (OutputItem& part : PiecesOf(piece.parts, items_)) {
      const std::string text = part.text;
      if (!GoesOn(part, items_)) Begin(std::move(part));
      EmitDelta(text);
      items_.back().text += text;
    }
  }

  void OnEnded(const v1::TurnEnded& ended) override {
    if (items_.empty()) Begin({});
    EndItem(ResponseStatus(&ended));
    const bool is_whole = FinishReasonOf(ended.finish_reason()) == "stop";
    EmitResponse(is_whole ? "response.completed" : "response.incomplete",
                 &ended);
  }

  // This endpoint's streams end with their last event.
  std::string LastLines() const override { return ""; }

  std::string ErrorLines(const absl::Status& status) const override {
    OrderedJson data;
    data["type"] = "error";
    const OrderedJson error = ErrorObject(status);
    for (const char* name : {"code", "message", "param"}) {
      data[name] = error[name];
    }
    return absl::StrCat("event: error\ndata: ", WriteJson(data), "\n\n");
  }

  StreamPosition EventPosition() const override {
    StreamPosition place = position();
    place.tokens = sequence_;
    place.text_bytes = steps_;
    place.calls = 0;
    return place;
  }

  // Ends the item under way and begins `item`, without its text.
  void Begin(OutputItem item) {
    if (!items_.empty()) EndItem("completed");
    item.index = static_cast<int64_t>(items_.size());
    item.text = "";
    items_.push_back(std::move(item));
    EmitItem("response.output_item.added", ResponseStatus(nullptr));
    if (items_.back().kind == Kind::kCall) return;
    OrderedJson part = Place();
    part["part"] = ResponsePart(items_.back());
    EmitTyped("response.content_part.added", std::move(part));
  }

  void EndItem(const std::string& status) {
    const OutputItem& item = items_.back();
    OrderedJson done = Place();
    if (item.kind == Kind::kCall) {
      done["name"] = item.name;
      done["arguments"] = item.text;
    } else {
      done["text"] = item.text;
    }
    if (item.kind == Kind::kMessage) done["logprobs"] = OrderedJson::array();
    EmitTyped(absl::StrCat(TextType(), ".done"), std::move(done));
    if (item.kind != Kind::kCall) {
      OrderedJson part = Place();
      part["part"] = ResponsePart(item);
      EmitTyped("response.content_part.done", std::move(part));
    }
    EmitItem("response.output_item.done", status);
  }

  // Of the item under way.
  const char* TextType() const {
    switch (items_.back().kind) {
      case Kind::kReasoning:
        return "response.reasoning_text";
      case Kind::kMessage:
        return "response.output_text";
      case Kind::kCall:
        break;
    }
    return "response.function_call_arguments";
  }

  // Where the item under way has its text.
  OrderedJson Place() const {
    OrderedJson place;
    place["item_id"] = ResponseItemId(started(), items_.back());
    place["output_index"] = items_.back().index;
    if (items_.back().kind != Kind::kCall) place["content_index"] = 0;
    return place;
  }

  void EmitItem(const char* type, const std::string& status) {
    OrderedJson data;
    data["output_index"] = items_.back().index;
    data["item"] = ResponseItem(started(), items_.back(), status);
    EmitTyped(type, std::move(data));
  }

  void EmitDelta(const std::string& text) {
    const int64_t steps = static_cast<int64_t>(text.size());
    const int64_t had = std::clamp<int64_t>(had_steps_ - steps_, 0, steps);
    if (had == steps) {
      steps_ += steps;
      return;
    }
    OrderedJson delta = Place();
    delta["delta"] = text.substr(static_cast<size_t>(had));
    if (items_.back().kind == Kind::kMessage) {
      delta["logprobs"] = OrderedJson::array();
    }
    steps_ += steps - 1;  // and one of the event
    EmitTyped(absl::StrCat(TextType(), ".delta"), std::move(delta));
  }

  void EmitResponse(const char* type, const v1::TurnEnded* ended) {
    OrderedJson data;
    data["response"] = ResponseObject(format(), started(), items_, ended);
    EmitTyped(type, std::move(data));
  }

  void EmitTyped(const std::string& type, OrderedJson fields) {
    if (++steps_ <= had_steps_) return;
    OrderedJson data;
    data["type"] = type;
    data["sequence_number"] = sequence_++;
    for (auto& item : fields.items()) data[item.key()] = item.value();
    Emit(data, type.c_str());
  }

  int64_t had_steps_ = 0;  // that the client has
  int64_t steps_ = 0;
  int64_t sequence_ = 0;
  std::vector<OutputItem> items_;
};

}  // namespace

std::unique_ptr<StreamWriter> MakeResponseWriter(const ReplyFormat& format) {
  return std::make_unique<ResponseWriter>(format);
}

}  // namespace tandem::gateway
