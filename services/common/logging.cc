#include "services/common/logging.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/utf8.h"

namespace tandem {
namespace {

// %*: the message as a JSON string.
class JsonMessageFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& destination) override {
    const std::string quoted =
        nlohmann::json(
            std::string(message.payload.data(), message.payload.size()))
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    destination.append(quoted.data(), quoted.data() + quoted.size());
  }

  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessageFlag>();
  }
};

std::unique_ptr<spdlog::formatter> MakeJsonFormatter() {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(
      spdlog::pattern_time_type::utc);
  formatter->add_flag<JsonMessageFlag>('*');
  formatter->set_pattern(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%*})");
  return formatter;
}

// %*: the message as one line, whatever a name in it holds.
class TextMessageFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& destination) override {
    const std::string line =
        EscapeToLine({message.payload.data(), message.payload.size()});
    destination.append(line.data(), line.data() + line.size());
  }

  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<TextMessageFlag>();
  }
};

std::unique_ptr<spdlog::formatter> MakeTextFormatter() {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(
      spdlog::pattern_time_type::utc);
  formatter->add_flag<TextMessageFlag>('*');
  formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %*");
  return formatter;
}

// gRPC prints whole trees of errors, with file names and times.
std::string ShortLine(absl::string_view message) {
  std::string line(message.substr(0, kLibraryMessageBytesMax));
  if (line.size() < message.size()) absl::StrAppend(&line, "...");
  return absl::StrReplaceAll(line, {{"\r", " "}, {"\n", " "}});
}

// Never destroyed: gRPC's threads may outlive main.
LogLimit& GrpcErrors() {
  static auto* const limit =
      new LogLimit(kLibraryLinesMax, kLibraryLinesInterval);
  return *limit;
}

// A peer that breaks a connection is an error to gRPC; to us it is weather.
void LogFromGrpc(gpr_log_func_args* arguments) {
  if (arguments->severity != GPR_LOG_SEVERITY_ERROR) {
    return spdlog::debug("grpc: {}", ShortLine(arguments->message));
  }
  const std::optional<int64_t> left_out = GrpcErrors().Admit(MonotonicNow());
  if (!left_out.has_value()) return;
  if (*left_out > 0) {
    spdlog::warn("grpc: {} such lines were left out", *left_out);
  }
  spdlog::warn("grpc: {}", ShortLine(arguments->message));
}

// Says which field of a message is not UTF-8; without us it goes to standard
// error as it is, between our lines.
void LogFromProtobuf(google::protobuf::LogLevel, const char*, int,
                     const std::string& message) {
  spdlog::debug("protobuf: {}", ShortLine(message));
}

}  // namespace

std::optional<int64_t> LogLimit::Admit(absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  if (now - began_ >= interval_) {
    began_ = now;
    written_ = 0;
  }
  if (written_ == lines_) {
    ++left_out_;
    return std::nullopt;
  }
  ++written_;
  return std::exchange(left_out_, 0);
}

void LogLimit::Reset() {
  const absl::MutexLock lock(&mutex_);
  began_ = absl::InfinitePast();
  left_out_ = 0;
}

void InitLogging(absl::string_view format, absl::string_view level) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  TANDEM_CHECK(parsed != spdlog::level::off);  // what it makes of other names
  TANDEM_CHECK(format == "json" || format == "text");
  auto logger = std::make_shared<spdlog::logger>(
      "tandem", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(format == "json" ? MakeJsonFormatter()
                                         : MakeTextFormatter());
  logger->set_level(parsed);
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
  GrpcErrors().Reset();
  gpr_set_log_function(LogFromGrpc);
  google::protobuf::SetLogHandler(LogFromProtobuf);
}

void DropLogs() {
  spdlog::set_level(spdlog::level::off);
  gpr_set_log_function([](gpr_log_func_args*) {});
  google::protobuf::SetLogHandler(nullptr);
}

}  // namespace tandem
