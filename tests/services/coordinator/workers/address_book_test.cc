#include "services/coordinator/workers/address_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Texts(const AddressBook& book) {
  std::vector<std::string> texts;
  for (const NamedAddress& it : book.Addresses()) {
    texts.push_back(absl::StrCat(it.address, " ", it.server_name));
  }
  return texts;
}

TEST(AddressBookTest, KeepsAListAsItIs) {
  const AddressBook book =
      *AddressBook::Parse(std::vector<std::string>{"b:1", "a:1", "b:1"});
  EXPECT_TRUE(book.names().empty());
  EXPECT_EQ(Texts(book), (std::vector<std::string>{"b:1 ", "a:1 "}));
}

TEST(AddressBookTest, AddsWhatNamesResolveTo) {
  AddressBook book =
      *AddressBook::Parse(std::vector<std::string>{"dns:///pool:7", "a:1"});
  ASSERT_EQ(book.names().size(), 1u);
  EXPECT_EQ(Texts(book), (std::vector<std::string>{"a:1 "}));
  EXPECT_FALSE(
      book.OnResolved(0, std::vector<std::string>{"c:7", "b:7", "a:1"}));
  EXPECT_EQ(Texts(book),
            (std::vector<std::string>{"a:1 ", "b:7 pool", "c:7 pool"}));
  EXPECT_FALSE(book.OnResolved(0, std::vector<std::string>{"c:7"}));
  EXPECT_EQ(Texts(book), (std::vector<std::string>{"a:1 ", "c:7 pool"}));
}

TEST(AddressBookTest, KeepsTheLastGoodAnswerAndSaysSoOnce) {
  AddressBook book =
      *AddressBook::Parse(std::vector<std::string>{"dns:///pool:7"});
  EXPECT_FALSE(book.OnResolved(0, std::vector<std::string>{"b:7"}));
  EXPECT_THAT(*book.OnResolved(0, absl::UnavailableError("no server")),
              HasSubstr("no server; its last 1 addresses are kept"));
  EXPECT_FALSE(book.OnResolved(0, absl::UnavailableError("no server")));
  EXPECT_FALSE(book.OnResolved(0, std::vector<std::string>{}));
  EXPECT_EQ(Texts(book), (std::vector<std::string>{"b:7 pool"}));
  EXPECT_THAT(*book.OnResolved(0, std::vector<std::string>{"c:7"}),
              HasSubstr("resolves again"));
  EXPECT_EQ(Texts(book), (std::vector<std::string>{"c:7 pool"}));
  EXPECT_THAT(*book.OnResolved(0, std::vector<std::string>{}),
              HasSubstr("has no address"));
}

TEST(AddressBookTest, HasALimit) {
  std::vector<std::string> many(kWorkersMax + 1, "a:1");
  EXPECT_EQ(AddressBook::Parse(many).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      AddressBook::Parse(std::vector<std::string>{"dns:///x"}).status().code(),
      absl::StatusCode::kInvalidArgument);
  AddressBook book =
      *AddressBook::Parse(std::vector<std::string>{"dns:///pool:7"});
  for (size_t i = 0; i < many.size(); ++i) many[i] = absl::StrCat(i, ":7");
  EXPECT_FALSE(book.OnResolved(0, many));
  EXPECT_EQ(book.Addresses().size(), kWorkersMax);
}

}  // namespace
}  // namespace tandem
