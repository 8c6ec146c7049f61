#include "services/gateway/server/token_text_cache.h"

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "tests/services/gateway/openai/turn_events.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

TEST(OneOfTwoTest, TheFirstMayHaveLostItsSpace) {
  EXPECT_EQ(OneOfTwo("upon upon"), " upon");
  EXPECT_EQ(OneOfTwo("onceonce"), "once");
  EXPECT_EQ(OneOfTwo(" "), " ");
  EXPECT_EQ(OneOfTwo(""), "");
}

class TokenTextCacheTest : public GatewayFixture {
 protected:
  absl::StatusOr<TokenTexts> Get(std::vector<int32_t> ids) {
    absl::StatusOr<TokenTexts> result;
    absl::Notification done;
    cache_.Get(Started(), {}, std::move(ids),
               [&result, &done](absl::StatusOr<TokenTexts> texts) {
                 result = std::move(texts);
                 done.Notify();
               });
    done.WaitForNotification();
    return result;
  }

  const std::unique_ptr<client::Client> client_ = MakeClient();
  CallPool pool_;
  TokenTextCache cache_{client_.get(), &pool_};
};

TEST_F(TokenTextCacheTest, AsksOnceForEach) {
  EXPECT_EQ(*Get({'a', 'b', 'a'}), (TokenTexts{{'a', "a"}, {'b', "b"}}));
  EXPECT_EQ(service_.last_detokenize().token_ids_size(), 2);
  EXPECT_FALSE(service_.last_detokenize().skip_special());
  service_.error = absl::InternalError("no more");
  EXPECT_EQ(*Get({'b'}), (TokenTexts{{'b', "b"}})) << "it is known";
  EXPECT_FALSE(Get({'b', 'c'}).ok());
  EXPECT_TRUE(Get({})->empty());
}

}  // namespace
}  // namespace tandem::gateway
