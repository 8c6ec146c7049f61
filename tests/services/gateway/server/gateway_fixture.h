// A gateway in front of a GenerationService that answers by a script.

#ifndef TANDEM_TESTS_SERVICES_GATEWAY_SERVER_GATEWAY_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_GATEWAY_SERVER_GATEWAY_FIXTURE_H_

#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "services/common/openai/json_fields.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/server/gateway_server.h"
#include "tests/tools/fake_service.h"

namespace tandem::gateway {

class GatewayFixture : public ::testing::Test {
 protected:
  void StartGateway() { StartGateway(GatewayOptions()); }
  void StartGateway(GatewayOptions options) {
    options.listen = "127.0.0.1:0";
    options.coordinator = service_.address();
    absl::StatusOr<std::unique_ptr<GatewayServer>> server =
        GatewayServer::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    gateway_ = *std::move(server);
    http_ = std::make_unique<httplib::Client>(
        absl::StrCat("http://", gateway_->address()));
  }

  httplib::Result Post(const std::string& path, const std::string& body,
                       const httplib::Headers& headers = {}) {
    return http_->Post(path.c_str(), headers, body, "application/json");
  }
  static Json JsonOf(const httplib::Result& result) {
    return Json::parse(result->body, nullptr, /*allow_exceptions=*/false);
  }
  // A client of the service itself.
  std::unique_ptr<client::Client> MakeClient() const {
    return *client::Client::Make({.address = service_.address()});
  }
  // The body's next piece; nothing at its end.
  static std::optional<std::string> Next(EventSource* source) {
    std::optional<std::string> result;
    absl::Notification done;
    source->Next([&result, &done](std::optional<std::string> event) {
      result = std::move(event);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  cli::FakeService service_;
  std::unique_ptr<GatewayServer> gateway_;
  std::unique_ptr<httplib::Client> http_;
};

inline constexpr char kChat[] =
    R"({"model": "tales", "messages": [{"role": "user", "content": "Hi"}]})";
inline constexpr char kChatStream[] =
    R"({"stream": true, "messages": [{"role": "user", "content": "Hi"}]})";

}  // namespace tandem::gateway

#endif  // TANDEM_TESTS_SERVICES_GATEWAY_SERVER_GATEWAY_FIXTURE_H_
