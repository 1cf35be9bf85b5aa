#include "router/feedback.hpp"

#include <catch2/catch.hpp>

#include <initializer_list>
#include <random>
#include <string>

using namespace weir::router;
using namespace std::chrono_literals;
using weir::shm::Nanos;

namespace {

constexpr Nanos kNow = std::chrono::seconds(784'111'777);  // Sun, 06 Nov 1994 08:49:37 GMT

Feedback read(std::initializer_list<Field> list) {
    Fields fields;
    for (const auto& field : list) fields.add(field.name, field.value);
    return read_feedback(fields, kNow);
}

}  // namespace

TEST_CASE("retry-after is a number of seconds or a date") {
    CHECK(read({{"retry-after", "20"}}).retry_after == 20s);
    CHECK(read({{"Retry-After", " 0.5 "}}).retry_after == 500ms);
    CHECK(read({{"retry-after", "0"}}).retry_after == 0s);
    CHECK(read({{"retry-after", "Sun, 06 Nov 1994 08:50:00 GMT"}}).retry_after == 23s);
    CHECK(read({{"retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"}}).retry_after == 0s);
    CHECK(read({{"retry-after-ms", "1500"}, {"retry-after", "60"}}).retry_after == 1500ms);
    CHECK(read({{"retry-after-ms", "soon"}, {"retry-after", "60"}}).retry_after == 60s);
    CHECK(read({{"retry-after", "1e99"}}).retry_after == std::nullopt);
    CHECK(read({{"retry-after", "99999999999999999999"}}).retry_after == 366 * 24h);
    for (const auto* odd : {"", "-1", "soon", "nan", "inf", "1 s", "0x10", ".", "1.2.3", "+5"}) {
        CHECK_FALSE(read({{"retry-after", odd}}).retry_after.has_value());
    }
    CHECK_FALSE(read({}).retry_after.has_value());
}

TEST_CASE("OpenAI's quotas") {
    const auto feedback = read({{"x-ratelimit-limit-requests", "60"},
                                {"x-ratelimit-remaining-requests", "59"},
                                {"x-ratelimit-reset-requests", "1s"},
                                {"x-ratelimit-limit-tokens", "150000"},
                                {"x-ratelimit-remaining-tokens", "0"},
                                {"x-ratelimit-reset-tokens", "6m0s"}});
    CHECK(feedback.requests.limit == 60u);
    CHECK(feedback.requests.remaining == 59u);
    CHECK(feedback.requests.reset == 1s);
    CHECK_FALSE(feedback.requests.exhausted());
    CHECK(feedback.tokens.limit == 150'000u);
    CHECK(feedback.tokens.exhausted());
    CHECK(exhausted_for(feedback) == 6min);
}

TEST_CASE("Anthropic's quotas") {
    const auto feedback =
        read({{"anthropic-ratelimit-requests-limit", "50"},
              {"anthropic-ratelimit-requests-remaining", "0"},
              {"anthropic-ratelimit-requests-reset", "1994-11-06T08:49:47Z"},
              {"anthropic-ratelimit-input-tokens-remaining", "1000"},
              {"anthropic-ratelimit-output-tokens-remaining", "0"},
              {"anthropic-ratelimit-output-tokens-reset", "1994-11-06T09:50:07+01:00"}});
    CHECK(feedback.requests.reset == 10s);
    CHECK(feedback.input_tokens.remaining == 1000u);
    CHECK(feedback.output_tokens.reset == 30s);
    CHECK(exhausted_for(feedback) == 30s);
    CHECK_FALSE(exhausted_for(read({{"x-ratelimit-remaining-tokens", "0"}})).has_value());
    CHECK_FALSE(exhausted_for({}).has_value());
}

TEST_CASE("what cannot be read is as if it were not there") {
    const auto feedback = read({{"x-ratelimit-limit-requests", "many"},
                                {"x-ratelimit-remaining-requests", "-1"},
                                {"x-ratelimit-reset-requests", "later"}});
    CHECK_FALSE(feedback.requests.limit.has_value());
    CHECK_FALSE(feedback.requests.remaining.has_value());
    CHECK_FALSE(feedback.requests.reset.has_value());
}

TEST_CASE("Go's durations") {
    CHECK(parse_go_duration("1s") == 1s);
    CHECK(parse_go_duration("6m0s") == 6min);
    CHECK(parse_go_duration("20ms") == 20ms);
    CHECK(parse_go_duration("1h2m3.5s") == 1h + 2min + 3500ms);
    CHECK(parse_go_duration("7.66s") == 7660ms);
    CHECK(parse_go_duration("2m59.56s") == 2min + 59560ms);
    CHECK(parse_go_duration("150us") == 150us);
    CHECK(parse_go_duration("150\xc2\xb5s") == 150us);
    CHECK(parse_go_duration("0s") == 0s);
    for (const auto* odd : {"", "1", "s", "-1s", "1x", "1s ago", "1..5s"}) {
        CHECK_FALSE(parse_go_duration(odd).has_value());
    }
}

TEST_CASE("HTTP dates in the three forms") {
    CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == kNow);
    CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == kNow);
    CHECK(parse_http_date("Sun Nov  6 08:49:37 1994") == kNow);
    CHECK(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT") ==
          Nanos(std::chrono::seconds(1'709'164'800)));
    for (const auto* odd :
         {"", "Sun", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37 CET",
          "Sun, 31 Feb 2024 00:00:00 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
          "Sun, 06 Abc 1994 08:49:37 GMT", "tomorrow at noon", "Sun, 06 Nov 1950 08:49:37 GMT"}) {
        CHECK_FALSE(parse_http_date(odd).has_value());
    }
}

TEST_CASE("RFC 3339 times") {
    CHECK(parse_rfc3339("1994-11-06T08:49:37Z") == kNow);
    CHECK(parse_rfc3339("1994-11-06T08:49:37.25Z") == kNow + 250ms);
    CHECK(parse_rfc3339("1994-11-06T10:49:37+02:00") == kNow);
    CHECK(parse_rfc3339("1994-11-06t03:19:37-05:30") == kNow);
    for (const auto* odd :
         {"", "1994-11-06", "1994-11-06T08:49:37", "1994-13-06T08:49:37Z", "1994-11-06T08:49Z",
          "1994-11-06T08:49:37Zx", "1994-11-06T08:49:37+2:00", "1994-11-06T08:49:37.Z"}) {
        CHECK_FALSE(parse_rfc3339(odd).has_value());
    }
}

TEST_CASE("random values never crash and never give a negative time") {
    std::mt19937_64 random(3);
    constexpr std::string_view likely = "0123456789.smhu:-TZ+, GMTNovSun";
    for (int i = 0; i < 100'000; ++i) {
        std::string value(random() % 32, '\0');
        for (auto& c : value) c = likely[random() % likely.size()];
        const auto feedback = read({{"retry-after", value}, {"x-ratelimit-reset-tokens", value}});
        if (feedback.retry_after) CHECK(*feedback.retry_after >= 0s);
        if (feedback.tokens.reset) CHECK(*feedback.tokens.reset >= 0s);
    }
}
