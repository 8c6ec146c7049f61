#include "services/gateway/server/asset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tandem::gateway {
namespace {

using ::testing::HasSubstr;

const std::vector<Asset> kAssets = {
    {.name = "index.html", .sha256 = "aa", .text = "<html>"},
    {.name = "main.js", .sha256 = "bb", .text = "let a"},
    {.name = "icon.svg", .sha256 = "cc", .text = "<svg>"}};

std::string HeaderOf(const HttpResponse& response, const std::string& name) {
  for (const HttpHeader& header : response.headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

TEST(AssetTest, IsFoundByItsPath) {
  EXPECT_EQ(FindAsset(kAssets, "/")->name, "index.html");
  EXPECT_EQ(FindAsset(kAssets, "/assets/main.js")->name, "main.js");
  for (const char* path : {"/main.js", "/assets/", "/assets/../main.js",
                           "/assets/none.js", "", "/index.html"}) {
    EXPECT_EQ(FindAsset(kAssets, path), nullptr) << path;
  }
}

TEST(AssetTest, IsServedWithItsTypeAndAStrictPolicy) {
  const HttpResponse page = AnswerAsset(kAssets[0], {});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<html>");
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(HeaderOf(page, "Content-Security-Policy"),
              HasSubstr("default-src 'none'"));
  EXPECT_EQ(AnswerAsset(kAssets[1], {}).content_type,
            "text/javascript; charset=utf-8");
  EXPECT_EQ(AnswerAsset(kAssets[2], {}).content_type, "image/svg+xml");
}

TEST(AssetTest, IsNotSentAgain) {
  HttpRequest request;
  request.headers = {
      {"If-None-Match", HeaderOf(AnswerAsset(kAssets[0], {}), "ETag")}};
  EXPECT_EQ(AnswerAsset(kAssets[0], request).status, 304);
  EXPECT_EQ(AnswerAsset(kAssets[0], request).body, "");
  EXPECT_EQ(AnswerAsset(kAssets[1], request).status, 200);
}

TEST(PageAssetsTest, AreWhole) {
  for (const Asset& asset : PageAssets()) {
    EXPECT_EQ(asset.sha256.size(), 64u) << asset.name;
    EXPECT_FALSE(asset.text.empty()) << asset.name;
  }
}

}  // namespace
}  // namespace tandem::gateway
