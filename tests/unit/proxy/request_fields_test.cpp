#include "proxy/request_fields.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace weir::proxy;
namespace router = weir::router;

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

/// What `lines` make of `facts`; the error's message, or empty.
std::string applied(const Lines& lines, router::RequestFacts& facts) {
    router::Fields fields;
    for (const auto& [name, value] : lines) fields.add(name, value);
    const auto error = apply_fields(fields, facts);
    if (!error) return {};
    CHECK(error->status == 400);
    CHECK(error->param.has_value());
    return error->message;
}

}  // namespace

TEST_CASE("the head may say how a request is to be treated, and goes before the body") {
    router::RequestFacts facts;
    facts.timeout_seconds = 9;
    facts.num_retries = 9;
    facts.tags = {"of-body"};
    CHECK(applied({{"content-type", "x"},
                 {"X-LiteLLM-Timeout", "1.5"},
                 {"x-litellm-stream-timeout", "2"},
                 {"x-litellm-num-retries", "0"},
                 {"x-litellm-tags", " a, b ,,c"},
                 {"x-weir-max-wait", "2.5"},
                 {"x-litellm-", "x"},
                 {"x-litellm-other", "x"}},
                facts)
              .empty());
    CHECK(facts.timeout_seconds == 1.5);
    CHECK(facts.stream_timeout_seconds == 2.0);
    CHECK(facts.num_retries == 0u);
    CHECK(facts.max_wait_seconds == 2.5);
    CHECK(facts.tags == std::vector<std::string>{"of-body", "a", "b", "c"});
}

TEST_CASE("a wait may be none, and up to a day") {
    router::RequestFacts facts;
    CHECK(applied({{"x-weir-max-wait", "0"}}, facts).empty());
    CHECK(facts.max_wait_seconds == 0.0);
    CHECK(applied({{"X-Weir-Max-Wait", "86400"}}, facts).empty());
    CHECK(facts.max_wait_seconds == 86400.0);
}

TEST_CASE("without such fields nothing changes") {
    router::RequestFacts facts;
    const Lines lines = {{"x-stainless-timeout", "1"}, {"timeout", "1"}};
    CHECK(applied(lines, facts).empty());
    CHECK_FALSE(facts.timeout_seconds.has_value());
    CHECK_FALSE(facts.num_retries.has_value());
    CHECK(facts.tags.empty());
}

TEST_CASE("what is no number, or too many, is refused and named") {
    for (const auto& [name, value] : Lines{{"x-litellm-timeout", "0"},
                                           {"x-litellm-timeout", "-1"},
                                           {"x-litellm-timeout", "nan"},
                                           {"x-litellm-timeout", "soon"},
                                           {"x-litellm-timeout", ""},
                                           {"x-litellm-timeout", "1s"},
                                           {"x-litellm-timeout", "1e9"},
                                           {"x-litellm-stream-timeout", "0"},
                                           {"x-weir-max-wait", "soon"},
                                           {"x-weir-max-wait", "-1"},
                                           {"x-weir-max-wait", "86401"},
                                           {"x-litellm-num-retries", "-1"},
                                           {"x-litellm-num-retries", "101"},
                                           {"x-litellm-num-retries", "1.5"}}) {
        router::RequestFacts facts;
        CAPTURE(name, value);
        CHECK(applied({{name, value}}, facts).find("'" + name + "'") != std::string::npos);
    }
    router::RequestFacts facts;
    std::string many = "t";
    for (std::size_t i = 0; i < router::kTagsMax; ++i) many += ",t";
    CHECK(applied({{"x-litellm-tags", many}}, facts).find("32 tags at most") != std::string::npos);
}
