#include "io/json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("json: a key that an object holds twice is named, at any depth") {
  const auto repeated = [](const char* text) {
    io::RepeatedKey key;
    io::parse_json(text, key);
    return std::pair(key.key, key.depth);
  };
  using Key = std::pair<std::string, int>;
  CHECK(repeated(R"({"a": 1, "b": 2, "a": 3})") == Key{"a", 1});
  CHECK(repeated(R"({"x": {"a": 1, "b": 2, "b": 1, "a": 3}})") == Key{"b", 2});
  CHECK(repeated(R"([{"a": 1}, [{"b": 1}], {"a": {"c": 0}, "c": {"a": 1}, "a": 2}])") == Key{"a", 2});
  CHECK(repeated(R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}], "A": 0})") == Key{"", 0});
  CHECK(message_of<io::Error>([] { io::parse_json(R"({"lr": 1, "lr": 2})", "config.json"); }) ==
        "config.json: holds the key 'lr' more than once; keep one of them");
}

TEST_CASE("json: what is no JSON is discarded, and the place of the error can be told") {
  CHECK(io::parse_json("{\"a\": ", "x").is_discarded());
  CHECK(io::parse_json("\xef\xbb\xbf[1]", "x") == nlohmann::json{1});
  CHECK(io::json_error("{\"a\":\n }").find("line 2, column 2") != std::string::npos);
  CHECK(io::json_error("{}").empty());
}

TEST_CASE("json: what is nested too deep is refused before the stack is full") {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  io::RepeatedKey key;
  for (const size_t deep : {size_t(io::deepest_json) + 1, size_t(200'000)}) {
    CHECK(io::parse_json(nested(deep), key).is_discarded());
    CHECK(message_of<io::Error>([&] { io::parse_json(nested(deep), "a.json"); }) ==
          "a.json: its objects and arrays are nested more than 100 deep");
  }
  CHECK(io::parse_json(nested(io::deepest_json), "a.json").is_array());
}

TEST_CASE("json: a number beyond a double is no JSON, with a reason") {
  CHECK(io::parse_json("[1e999]", "a.json").is_discarded());
  CHECK(io::json_error("[1e999]").find("1e999") != std::string::npos);
}
