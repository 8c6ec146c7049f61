#include "services/common/openai/json_fields.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

TEST(ParseJsonObjectTest, TakesObjectsAlone) {
  EXPECT_TRUE(ParseJsonObject("{\"a\": 1}").ok());
  EXPECT_FALSE(ParseJsonObject("[1]").ok());
  EXPECT_FALSE(ParseJsonObject("{\"a\": 1").ok());
  EXPECT_FALSE(ParseJsonObject("").ok());
  EXPECT_FALSE(ParseJsonObject("{\"a\": \"\xff\"}").ok());
}

TEST(ParseJsonObjectTest, DepthCostsNoStack) {
  std::string deep = "{\"a\": ";
  deep.append(1000000, '[');
  deep.append(1000000, ']');
  EXPECT_TRUE(ParseJsonObject(deep + "}").ok());
}

TEST(WriteJsonTest, BytesThatAreNoTextAreReplaced) {
  OrderedJson json;
  json["b"] = "\xff";
  json["a"] = 1;
  EXPECT_EQ(WriteJson(json), "{\"b\":\"\xef\xbf\xbd\",\"a\":1}");
}

TEST(JsonFieldsTest, ReadsByType) {
  const Json object =
      Json::parse(R"({"t": "x", "b": true, "w": -3, "n": 0.5, "none": null})");
  JsonFields fields(object);
  EXPECT_EQ(fields.Text("t"), "x");
  EXPECT_EQ(fields.Bool("b"), true);
  EXPECT_EQ(fields.Whole("w", -3, 0), -3);
  EXPECT_EQ(fields.Number("n"), 0.5f);
  EXPECT_EQ(fields.Text("none"), std::nullopt);
  EXPECT_EQ(fields.RequiredText("t"), "x");
  EXPECT_EQ(fields.Any("absent"), nullptr);
  EXPECT_TRUE(fields.Finish().ok());
}

TEST(JsonFieldsTest, ErrorsNameTheField) {
  const auto error_of = [](const char* text, auto read) {
    const Json object = Json::parse(text);
    JsonFields fields(object, "tandem");
    read(&fields);
    return Message(fields.Finish());
  };
  EXPECT_EQ(error_of(R"({"a": 1})", [](JsonFields* f) { f->Text("a"); }),
            "tandem.a must be a string");
  for (const char* text : {"{}", R"({"a": null})", R"({"a": ""})"}) {
    EXPECT_EQ(error_of(text, [](JsonFields* f) { f->RequiredText("a"); }),
              "tandem.a must be a string, and not empty");
  }
  EXPECT_EQ(error_of(R"({"a": 1})", [](JsonFields* f) { f->Bool("a"); }),
            "tandem.a must be true or false");
  EXPECT_EQ(
      error_of(R"({"a": 1.5})", [](JsonFields* f) { f->Whole("a", 1, 9); }),
      "tandem.a must be a whole number from 1 to 9");
  EXPECT_EQ(error_of(R"({"a": 18446744073709551615})",
                     [](JsonFields* f) { f->Whole("a", -1, 9); }),
            "tandem.a must be a whole number from -1 to 9");
  EXPECT_EQ(error_of(R"({"a": 1e300})", [](JsonFields* f) { f->Number("a"); }),
            "tandem.a must be a number");
  EXPECT_EQ(error_of(R"({"a": [1]})",
                     [](JsonFields* f) { f->Refuse("a", "is not taken"); }),
            "tandem.a is not taken");
  EXPECT_EQ(error_of("3", [](JsonFields* f) { f->Text("a"); }),
            "tandem must be an object");
}

TEST(JsonFieldsTest, TheFirstErrorStays) {
  const Json object = Json::parse(R"({"a": 1, "b": 2})");
  JsonFields fields(object);
  fields.Text("b");
  fields.Text("a");
  EXPECT_EQ(Message(fields.Finish()), "b must be a string");
}

TEST(JsonFieldsTest, EmptyValuesAreNotRefused) {
  const Json object =
      Json::parse(R"({"a": [], "b": {}, "c": false, "d": null, "e": ""})");
  JsonFields fields(object);
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    fields.Refuse(name, "is not taken");
  }
  EXPECT_TRUE(fields.Finish().ok());
}

TEST(JsonFieldsTest, UnknownFieldsGetTheNearestName) {
  const Json object = Json::parse(R"({"temprature": 1})");
  JsonFields fields(object);
  fields.Number("temperature");
  EXPECT_EQ(Message(fields.Finish()),
            "\"temprature\" is no field that is known here; did you mean "
            "temperature?");
  JsonFields ignored(object);
  ignored.Ignore({"temprature"});
  EXPECT_TRUE(ignored.Finish().ok());
}

}  // namespace
}  // namespace tandem
