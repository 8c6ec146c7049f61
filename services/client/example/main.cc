// A program that uses the client library: prints the text of a turn as it
// comes.

#include <cstdio>
#include <memory>
#include <string>

#include "services/client/client.h"

namespace {

absl::Status Tell(const std::string& address, const std::string& prompt) {
  const auto client = tandem::client::Client::Make({.address = address});
  if (!client.ok()) return client.status();
  tandem::v1::TurnRequest request;
  request.set_text(prompt);
  request.mutable_options()->set_max_tokens(64);
  const auto turn = (*client)->Start(request);
  while (true) {
    const tandem::client::NextEvent event = turn->Next();
    if (!event.ok()) return event.status();
    if (!event->has_value()) return absl::OkStatus();
    std::fputs((*event)->tokens().text().c_str(), stdout);
    std::fputs((*event)->ended().text().c_str(), stdout);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s ADDRESS PROMPT\n", argv[0]);
    return 2;
  }
  const absl::Status status = Tell(argv[1], argv[2]);
  std::puts("");
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
