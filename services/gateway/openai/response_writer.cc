// The events of /v1/responses.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/gateway/openai/response_object.h"
#include "services/gateway/openai/stream_writer.h"

namespace tandem::gateway {
namespace {

class ResponseWriter final : public StreamWriter {
 public:
  explicit ResponseWriter(const ReplyFormat& format) : StreamWriter(format) {}

  // The last events hold the whole text: the service is asked for all of it,
  // and what the client has is left out.
  StreamPosition Resume(const StreamPosition& from) override {
    had_bytes_ = from.text_bytes;
    StreamPosition begin = from;
    begin.tokens = 0;
    begin.text_bytes = 0;
    return StreamWriter::Resume(begin);
  }

 private:
  void OnStarted() override {
    if (had_bytes_ > 0) return;
    EmitResponse("response.created", nullptr);
    EmitResponse("response.in_progress", nullptr);
    OrderedJson item;
    item["output_index"] = 0;
    item["item"] = ResponseItem(started(), "", nullptr);
    EmitTyped("response.output_item.added", std::move(item));
    OrderedJson part = PartPlace();
    part["part"] = ResponsePart("");
    EmitTyped("response.content_part.added", std::move(part));
  }

  void OnText(const std::string& text, const v1::TokensGenerated* /*tokens*/,
              const TokenTexts& /*texts*/) override {
    const int64_t before = static_cast<int64_t>(text_.size());
    text_ += text;
    const int64_t had = std::clamp<int64_t>(had_bytes_ - before, 0,
                                            static_cast<int64_t>(text.size()));
    const std::string fresh = text.substr(static_cast<size_t>(had));
    if (fresh.empty()) return;
    OrderedJson delta = PartPlace();
    delta["delta"] = fresh;
    delta["logprobs"] = OrderedJson::array();
    EmitTyped("response.output_text.delta", std::move(delta));
  }

  void OnEnded(const v1::TurnEnded& ended) override {
    OrderedJson done = PartPlace();
    done["text"] = text_;
    done["logprobs"] = OrderedJson::array();
    EmitTyped("response.output_text.done", std::move(done));
    OrderedJson part = PartPlace();
    part["part"] = ResponsePart(text_);
    EmitTyped("response.content_part.done", std::move(part));
    OrderedJson item;
    item["output_index"] = 0;
    item["item"] = ResponseItem(started(), text_, &ended);
    EmitTyped("response.output_item.done", std::move(item));
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

  OrderedJson PartPlace() const {
    OrderedJson place;
    place["item_id"] = ResponseItemId(started());
    place["output_index"] = 0;
    place["content_index"] = 0;
    return place;
  }

  void EmitResponse(const char* type, const v1::TurnEnded* ended) {
    OrderedJson data;
    data["response"] = ResponseObject(format(), started(), text_, ended);
    EmitTyped(type, std::move(data));
  }

  void EmitTyped(const char* type, OrderedJson fields) {
    OrderedJson data;
    data["type"] = type;
    data["sequence_number"] = sequence_++;
    for (auto& item : fields.items()) data[item.key()] = item.value();
    Emit(data, type);
  }

  int64_t had_bytes_ = 0;  // of the text, which the client has
  int64_t sequence_ = 0;
  std::string text_;
};

}  // namespace

std::unique_ptr<StreamWriter> MakeResponseWriter(const ReplyFormat& format) {
  return std::make_unique<ResponseWriter>(format);
}

}  // namespace tandem::gateway
